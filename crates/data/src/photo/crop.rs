//! Which part of a photo is kept, mirrored or framed: bytes move, none changes.

use super::Photo;

const BLACK: [u8; 3] = [0; 3];

impl Photo {
    /// Left and right exchanged.
    pub fn flip(&self) -> Self {
        Self::from_fn(self.width, self.height, |x, y| self.at(self.width - 1 - x, y))
    }

    /// The part of `width` x `height` pixels whose upper left corner is `(left, top)`; what lies outside is black.
    pub fn crop(&self, (left, top): (isize, isize), width: usize, height: usize) -> Self {
        let inside = |start: isize, offset: usize, size: usize| {
            start.checked_add_unsigned(offset)?.try_into().ok().filter(|place| *place < size)
        };
        Self::from_fn(width, height, |x, y| {
            match (inside(left, x, self.width), inside(top, y, self.height)) {
                (Some(x), Some(y)) => self.at(x, y),
                _ => BLACK,
            }
        })
    }

    /// The middle of `width` x `height` pixels, framed in black where the photo is smaller.
    ///
    /// An odd pixel that is cut off or framed goes where torchvision has it: see the equations,
    ///
    /// ```text
    /// left = round_half_to_even((photo - width) / 2)    if the photo is larger
    /// left = -floor((width - photo) / 2)                if it is smaller
    /// ```
    pub fn center_crop(&self, width: usize, height: usize) -> Self {
        let start = |whole: usize, part: usize| match whole.checked_sub(part) {
            Some(cut) => (cut as f64 / 2.0).round_ties_even() as isize,
            None => -(((part - whole) / 2) as isize),
        };
        self.crop((start(self.width, width), start(self.height, height)), width, height)
    }

    /// Framed in black to a square, the photo in the middle; an odd pixel of the frame goes right or below.
    pub fn pad_to_square(&self) -> Self {
        let side = self.width.max(self.height);
        let before = |size: usize| -(((side - size) / 2) as isize);
        self.crop((before(self.width), before(self.height)), side, side)
    }
}
