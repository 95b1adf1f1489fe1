//! Pooling: the table of windows that the kernels read, and their launches.

use std::sync::Arc;

use striate_conv::{PoolShape, Windows};
use striate_tensor::Result;
use striate_tensor::backend::Storage;

use crate::backend::Cuda;
use crate::card::{Arg, Block};
use crate::memory::address;

/// What the kernels of `pool.ptx` are told of a shape.
#[derive(Debug)]
pub(crate) struct Table {
    words: Block,
    /// Sizes, places in the table, steps, and the divisor.
    geometry: Vec<Arg>,
    divisor: Arg,
}

/// Tables that are kept. More than a network has, and few enough for inputs of ever other sizes.
const KEPT: usize = 256;

impl Cuda {
    /// The table of a shape, the same for any number of planes and made once: a step then copies nothing to the card.
    fn table(&self, shape: &PoolShape) -> Result<Arc<Table>> {
        let mut key = *shape;
        key.planes = 0;
        let mut tables = self.tables.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(table) = tables.get(&key) {
            return Ok(table.clone());
        }
        if tables.len() == KEPT {
            tables.clear();
        }
        let table = Arc::new(self.new_table(shape)?);
        tables.insert(key, table.clone());
        Ok(table)
    }

    fn new_table(&self, shape: &PoolShape) -> Result<Table> {
        let mut words: Vec<u32> = Vec::new();
        let (mut outputs, mut inputs, mut steps) = ([0; 3], [0; 3], [1; 3]);
        for axis in 0..3 {
            let cells = shape.cells(axis);
            outputs[axis] = words.len();
            for cell in &cells {
                words.extend([cell.first, cell.count, cell.counted].map(|n| n as u32));
                steps[axis] = cell.step;
            }
            inputs[axis] = words.len();
            for place in 0..shape.input[axis] {
                // The windows that reach to both sides of the cell or to it; they stand side by side.
                let reaches = |cell: &&_| {
                    let cell: &striate_conv::Cells = cell;
                    cell.first <= place && place < cell.first + cell.count * cell.step
                };
                let low = cells.iter().position(|cell| reaches(&cell)).unwrap_or(0);
                let high = cells.iter().rposition(|cell| reaches(&cell)).map_or(0, |last| last + 1);
                words.extend([low, high].map(|n| n as u32));
            }
        }
        let divisor = match &shape.windows {
            Windows::Sliding(spec) => spec.divisor_override.unwrap_or(0),
            Windows::Adaptive => 0,
        };
        let parts = [shape.input, shape.output, outputs, inputs, steps];
        Ok(Table {
            words: self.card.upload(&words)?,
            geometry: parts.concat().into_iter().map(Arg::from).collect(),
            divisor: divisor.into(),
        })
    }

    pub(crate) fn largest(
        &self,
        shape: &PoolShape,
        x: &Storage<f32>,
    ) -> Result<(Storage<f32>, Storage<i64>)> {
        let (len, table) = (shape.output_len(), self.table(shape)?);
        let indices: Storage<i64> = self.output(len, |_| Ok(()))?;
        let operands =
            |out| -> Result<_> { Ok([address(x)?, out, address(&indices)?, table.words.address]) };
        let y = self.output(len, |out| {
            let mut args: Vec<Arg> = operands(out)?.map(Arg::from).to_vec();
            args.push(len.into());
            args.extend(&table.geometry);
            self.card.each("max_pool", len, &args)
        })?;
        Ok((y, indices))
    }

    pub(crate) fn average(&self, shape: &PoolShape, x: &Storage<f32>) -> Result<Storage<f32>> {
        let (len, table) = (shape.output_len(), self.table(shape)?);
        self.output(len, |out| {
            let mut args: Vec<Arg> =
                [address(x)?, out, table.words.address].map(Arg::from).to_vec();
            args.push(len.into());
            args.extend(&table.geometry);
            args.push(table.divisor);
            self.card.each("average_pool", len, &args)
        })
    }

    /// The gradient of the input, to the cells that were chosen or in equal shares to all.
    pub(crate) fn pool_gradient(
        &self,
        shape: &PoolShape,
        grad: &Storage<f32>,
        indices: Option<&Storage<i64>>,
    ) -> Result<Storage<f32>> {
        let (len, table) = (shape.input_len(), self.table(shape)?);
        let indices = indices.map_or(Ok(0), address)?;
        self.output(len, |out| {
            let operands = [address(grad)?, indices, out, table.words.address];
            let mut args: Vec<Arg> = operands.map(Arg::from).to_vec();
            args.push(len.into());
            args.extend(&table.geometry);
            args.push(table.divisor);
            self.card.each("pool_gradient", len, &args)
        })
    }
}
