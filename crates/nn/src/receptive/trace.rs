//! Receptive fields read off the layers of a network.
//!
//! Each module says what it does to a field, in [`Module::trace`]: a convolution and a pooling have windows, an
//! elementwise layer changes nothing, a linear layer sees everything, a container asks what it holds. So a field is
//! never computed from a second description of a network. A module that says nothing is an error, because to pass it over
//! might be wrong.

use striate_tensor::{ErrorContext, Float, Result};

use super::{Field, Window, receptive_field_size, refused};
use crate::Module;

/// What a cell of one layer's map sees of the network's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerField {
    /// The layer's path.
    pub path: String,
    /// The layer's kind.
    pub kind: String,
    /// Its window on each axis; none where branches meet.
    pub windows: Vec<Window>,
    /// The field on each axis.
    pub fields: Vec<Field>,
}

/// The receptive fields of a network, layer by layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceptiveField {
    /// The layers that have windows, in order, and the sums of branches.
    pub layers: Vec<LayerField>,
    /// Path and kind of the first layer whose field depends on the size of the map; none if there is no such layer.
    pub whole: Option<[String; 2]>,
}

impl ReceptiveField {
    /// Reads the windows off the layers of `module`.
    ///
    /// ```
    /// use striate_nn::{Init, ReceptiveField, layers::{Conv2d, Sequential}};
    /// use striate_tensor::ConvSpec;
    /// let wide = ConvSpec::new([3, 5]).stride([2, 1]);
    /// let net: Sequential = Sequential::new(&Init::seed(1))
    ///     .then(|at| Conv2d::new(at, 1, 4, wide))?
    ///     .then(|at| Conv2d::new(at, 4, 4, wide))?;
    /// let field = ReceptiveField::of(&net)?;
    /// let [rows, columns] = &field.layers[1].fields[..] else { panic!() };
    /// assert_eq!([rows.size(), columns.size()], [7, 9]);
    /// # Ok::<(), striate_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A layer that does not say what it sees, layers of different dimensions, branches that do not meet, and fields of
    /// more than 65,536 pixels.
    pub fn of<T: Float>(module: &dyn Module<T>) -> Result<Self> {
        let mut trace = FieldTrace::default();
        module.trace(&mut trace)?;
        Ok(ReceptiveField { layers: trace.layers, whole: trace.whole })
    }

    /// The windows along an axis, where the layers are a row without branches.
    pub fn windows(&self, axis: usize) -> Option<Vec<Window>> {
        self.layers.iter().map(|layer| layer.windows.get(axis).copied()).collect()
    }

    /// The last map's size by the closed form, where the layers are a row without branches.
    pub fn closed_form_size(&self, axis: usize) -> Option<usize> {
        self.windows(axis).map(|windows| receptive_field_size(&windows))
    }
}

/// The fields on the way through a network, for [`Module::trace`].
#[derive(Debug, Clone, Default)]
pub struct FieldTrace {
    /// On each axis, once a layer has said how many there are.
    fields: Vec<Field>,
    layers: Vec<LayerField>,
    whole: Option<[String; 2]>,
}

impl FieldTrace {
    /// Goes through a layer with one window an axis.
    pub fn through<T: Float>(
        &mut self,
        layer: &(impl Module<T> + ?Sized),
        windows: Vec<Window>,
    ) -> Result<()> {
        if self.is_whole() {
            return Ok(());
        }
        if self.fields.is_empty() {
            self.fields = vec![Field::pixel(); windows.len()];
        }
        if self.fields.len() != windows.len() {
            let (expected, found) = (self.fields.len(), windows.len());
            let message = format!("expected a layer over {expected} axes, got one over {found}");
            return Err(refused(message)).at(layer.path());
        }
        let fields = self.fields.iter().zip(&windows).map(|(field, window)| field.through(window));
        self.fields = fields.collect::<Result<_>>().at(layer.path())?;
        self.record(layer, windows);
        Ok(())
    }

    /// Goes through a layer whose outputs see the whole map, or a part that depends on its size. What comes after is
    /// followed no further.
    pub fn sees_all<T: Float>(&mut self, layer: &(impl Module<T> + ?Sized)) -> Result<()> {
        self.whole.get_or_insert_with(|| [layer.path().into(), layer.kind().into()]);
        Ok(())
    }

    /// Whether a layer has been passed that sees the whole map.
    pub fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// A second way to go from here.
    pub fn branch(&self) -> Self {
        FieldTrace { layers: Vec::new(), ..self.clone() }
    }

    /// Comes back together with a [`branch`](Self::branch), in a `layer` that adds the two.
    pub fn join<T: Float>(
        &mut self,
        branch: Self,
        layer: &(impl Module<T> + ?Sized),
    ) -> Result<()> {
        self.layers.extend(branch.layers);
        self.whole = self.whole.take().or(branch.whole);
        if self.is_whole() {
            return Ok(());
        }
        let axes = self.fields.len().max(branch.fields.len());
        let [ours, theirs] = [&self.fields, &branch.fields].map(|fields| match fields.len() {
            0 => vec![Field::pixel(); axes],
            _ => fields.clone(),
        });
        let fields = ours.iter().zip(&theirs).map(|(a, b)| a.united(b));
        self.fields = fields.collect::<Result<_>>().at(layer.path())?;
        if axes > 0 {
            self.record(layer, Vec::new());
        }
        Ok(())
    }

    fn record<T: Float>(&mut self, layer: &(impl Module<T> + ?Sized), windows: Vec<Window>) {
        let (path, kind) = (layer.path().into(), layer.kind().into());
        self.layers.push(LayerField { path, kind, windows, fields: self.fields.clone() });
    }
}
