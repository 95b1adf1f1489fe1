//! Turning and tilting: every output pixel asks where it came from.

use striate_conv::Float;

use super::Photo;

/// Binary places of a coordinate while turning.
const PLACES: u32 = 16;

/// Upper left, upper right, lower right, lower left, as `(column, row)`.
pub type Corners = [(f64, f64); 4];

impl Photo {
    /// Turned by `degrees` against the clock about its middle, in its own size. Each output takes the nearest pixel,
    /// or black from outside.
    pub fn rotate(&self, degrees: f64) -> Self {
        let (sin, cos) = (-degrees.rem_euclid(360.0) / 360.0).sin_cos_turns();
        let (x, y) = (self.width as f64 / 2.0, self.height as f64 / 2.0);
        // Coordinates are stepped in fixed point, as PIL does: which pixel is nearest would else differ at times.
        let fixed = |value: f64| (value * f64::from(1 << PLACES) + 0.5).floor() as i64;
        let [along, across] = [fixed(cos), fixed(sin)];
        let first_x = fixed(x - cos * x - sin * y + 0.5 * cos + 0.5 * sin);
        let first_y = fixed(y + sin * x - cos * y - 0.5 * sin + 0.5 * cos);
        let down = fixed(-sin);
        self.gather(|x, y| {
            let (x, y) = (x as i64, y as i64);
            let source = [first_x + along * x + across * y, first_y + down * x + along * y];
            let [x, y] = source.map(|place| usize::try_from(place >> PLACES).ok());
            let (x, y) = (x.filter(|x| *x < self.width)?, y.filter(|y| *y < self.height)?);
            Some(self.at(x, y))
        })
    }

    /// Seen in perspective: what was at the corners `from` comes to the corners `to`, in between bilinearly, and
    /// black where nothing was.
    ///
    /// With `(x, y)` the middle of an output pixel, its source is
    ///
    /// ```text
    /// ((a x + b y + c) / (g x + h y + 1), (d x + e y + f) / (g x + h y + 1))
    /// ```
    ///
    /// whose eight numbers solve eight linear equations, two for each corner. Corners three of which are in a line
    /// have no solution, and give black.
    pub fn perspective(&self, from: &Corners, to: &Corners) -> Self {
        let [a, b, c, d, e, f, g, h] = coefficients(from, to);
        self.gather(|x, y| {
            let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
            let depth = g * x + h * y + 1.0;
            self.bilinear((a * x + b * y + c) / depth, (d * x + e * y + f) / depth)
        })
    }

    fn gather(&self, pixel: impl Fn(usize, usize) -> Option<[u8; 3]>) -> Self {
        Self::from_fn(self.width, self.height, |x, y| pixel(x, y).unwrap_or_default())
    }

    /// The colour at a point, from the four pixels around it; none outside the photo.
    fn bilinear(&self, x: f64, y: f64) -> Option<[u8; 3]> {
        let inside = |place: f64, size: usize| (0.0..size as f64).contains(&place);
        if !inside(x, self.width) || !inside(y, self.height) {
            return None;
        }
        let neighbours = |place: f64, size: usize| {
            let low = (place - 0.5).floor();
            // The cast saturates: half a pixel before the first, both neighbours are the first.
            let [first, second] = [low, low + 1.0].map(|place| (place as usize).min(size - 1));
            (first, second, place - 0.5 - low)
        };
        let (left, right, dx) = neighbours(x, self.width);
        let (upper, lower, dy) = neighbours(y, self.height);
        let rows = [upper, lower].map(|y| [left, right].map(|x| self.at(x, y)));
        let mix = |a: f64, b: f64, t: f64| a + (b - a) * t;
        Some([0, 1, 2].map(|channel| {
            let [upper, lower] = rows.map(|pair| {
                let [left, right] = pair.map(|pixel| f64::from(pixel[channel]));
                mix(left, right, dx)
            });
            mix(upper, lower, dy) as u8
        }))
    }
}

/// The eight numbers of the map from `to` back to `from`; NaN if there is none.
fn coefficients(from: &Corners, to: &Corners) -> [f64; 8] {
    let mut rows = Vec::with_capacity(8);
    for (&(u, v), &(x, y)) in from.iter().zip(to) {
        rows.push([x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u]);
        rows.push([0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v]);
    }
    solve(rows)
}

/// Gauss and Jordan's elimination with pivots; the last column is the right-hand side.
fn solve(mut rows: Vec<[f64; 9]>) -> [f64; 8] {
    for column in 0..8 {
        let size = |row: &usize| rows[*row][column].abs();
        let pivot = (column..8).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(column);
        rows.swap(column, pivot);
        let scale = rows[column][column];
        let pivot = rows[column].map(|value| value / scale);
        for row in &mut rows {
            let factor = row[column];
            row.iter_mut().zip(pivot).for_each(|(value, pivot)| *value -= factor * pivot);
        }
        rows[column] = pivot;
    }
    std::array::from_fn(|row| rows[row][8])
}
