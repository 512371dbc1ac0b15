//! What a camera sees: colours, and on demand classes and instances per pixel; inverse depth comes for free.

/// What a pixel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Sky.
    Sky = 0,
    /// Grass and earth.
    Ground = 1,
    /// Asphalt.
    Road = 2,
    /// Painted lines, stop lines, zebra stripes.
    Paint = 3,
    /// Pavements and kerbs.
    Pavement = 4,
    /// Motor vehicles.
    Vehicle = 5,
    /// People on foot.
    Pedestrian = 6,
    /// Bicycles and motor cycles with their riders.
    Cyclist = 7,
    /// Traffic lights and their poles.
    Light = 8,
    /// Signs and their poles.
    Sign = 9,
    /// Cones and barriers.
    Barrier = 10,
    /// Buildings, walls, containers.
    Building = 11,
    /// Hedges and trees.
    Vegetation = 12,
    /// The camera's own vehicle.
    Ego = 13,
}

/// Number of classes.
pub const CLASSES: usize = 14;

/// A picture with its by-products. Drawing into the same frame again allocates nothing while the size stays.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// `height * width * 3` bytes.
    pub rgb: Vec<u8>,
    /// Whether [`Frame::class`] and [`Frame::instance`] are written.
    pub labels: bool,
    /// [`Class`] per pixel; empty without labels.
    pub class: Vec<u8>,
    /// Actor's id + 1 per pixel, 0 for everything that is no actor; empty without labels.
    pub instance: Vec<u16>,
    /// One over the depth along the optical axis per pixel, 1/m; 0 for sky.
    pub inverse_depth: Vec<f32>,
    /// Draw with the portable code even where vector instructions exist: same pixels, slower.
    pub portable: bool,
    /// 0x00BBGGRR per pixel.
    pub(crate) colour: Vec<u32>,
    /// `instance << 16 | class` per pixel; empty without labels.
    pub(crate) tag: Vec<u32>,
    pub(crate) scratch: Scratch,
}

/// Buffers that only drawing uses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    /// Colour per row and material.
    pub rows: Vec<[u32; 16]>,
    /// Cells of the stage in view.
    pub cells: Vec<u32>,
    /// Things in view, far to near or near to far: distance and index.
    pub order: Vec<(f32, u32)>,
}

impl Frame {
    /// An empty frame; `labels` asks for classes and instances beside the colours.
    pub fn new(labels: bool) -> Frame {
        Frame { labels, ..Frame::default() }
    }

    /// Gives every buffer its size.
    pub(crate) fn resize(&mut self, width: usize, height: usize) {
        let n = width * height;
        (self.width, self.height) = (width, height);
        self.rgb.resize(3 * n, 0);
        self.inverse_depth.resize(n, 0.0);
        self.colour.resize(n, 0);
        let labels = if self.labels { n } else { 0 };
        self.class.resize(labels, 0);
        self.instance.resize(labels, 0);
        self.tag.resize(labels, 0);
    }

    /// Splits tags into classes and instances.
    pub(crate) fn write_labels(&mut self) {
        for ((class, instance), tag) in self.class.iter_mut().zip(&mut self.instance).zip(&self.tag) {
            *class = *tag as u8;
            *instance = (*tag >> 16) as u16;
        }
    }

    /// Pixels that show the actor with this id; 0 without labels.
    pub fn visible_pixels(&self, id: u16) -> usize {
        self.instance.iter().filter(|&&i| i == id.wrapping_add(1)).count()
    }

    /// Red, green and blue of a pixel, column then row; black outside the frame.
    pub fn pixel(&self, column: usize, row: usize) -> [u8; 3] {
        if column >= self.width || row >= self.height {
            return [0; 3];
        }
        let i = 3 * (row * self.width + column);
        [self.rgb[i], self.rgb[i + 1], self.rgb[i + 2]]
    }

    /// Depth along the optical axis of a pixel, metres; infinite for sky and outside the frame.
    pub fn depth(&self, column: usize, row: usize) -> f32 {
        if column >= self.width || row >= self.height {
            return f32::INFINITY;
        }
        1.0 / self.inverse_depth[row * self.width + column].max(0.0)
    }
}
