//! What is drawn on: a frame, from where it is seen, and in which materials and style.

use super::camera::{V3, View};
use super::frame::Class;
use super::lanes::{Inks, LANES};
use super::pen::{Corners, Ink, Pen};
use super::style::{Rgb, Style, mix};

/// What the ground is made of; each has its colour per row of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Material {
    Grass,
    GrassPatch,
    Asphalt,
    AsphaltPatch,
    Pavement,
    White,
    Yellow,
    Kerb,
    KerbSide,
    Cycleway,
}

pub(crate) const MATERIALS: usize = 10;

impl Material {
    pub const fn class(self) -> Class {
        match self {
            Material::Grass | Material::GrassPatch => Class::Ground,
            Material::Asphalt | Material::AsphaltPatch | Material::Cycleway => Class::Road,
            Material::Pavement | Material::Kerb | Material::KerbSide => Class::Pavement,
            Material::White | Material::Yellow => Class::Paint,
        }
    }

    pub fn colour(self, style: &Style) -> Rgb {
        let [asphalt, grass, pavement, white, yellow] = style.surfaces;
        match self {
            Material::Grass => grass,
            Material::GrassPatch => style.patches[1],
            Material::Asphalt => asphalt,
            Material::AsphaltPatch => style.patches[0],
            Material::Pavement => pavement,
            Material::White => white,
            Material::Yellow => yellow,
            Material::Kerb => mix(pavement, 0xFF_FFFF, 90),
            Material::KerbSide => mix(pavement, 0, 110),
            Material::Cycleway => mix(asphalt, 0x20_30B0, 90),
        }
    }
}

impl Inks {
    pub const NONE: Inks = Inks { colour: [0; LANES], tag: [0; LANES] };

    /// All of one material.
    pub const fn of(material: Material) -> Inks {
        Inks { colour: [material as u32; LANES], tag: [material.class() as u32; LANES] }
    }

    pub fn set(&mut self, lane: usize, material: Material) {
        (self.colour[lane], self.tag[lane]) = (material as u32, material.class() as u32);
    }
}

/// A frame that is being drawn.
pub(crate) struct Canvas<'a> {
    pub view: View,
    pub style: &'a Style,
    pub pen: Pen<'a>,
}

impl Canvas<'_> {
    /// A quadrilateral, seen from both sides.
    #[inline]
    pub fn quad(&mut self, q: &Corners, ink: Ink) {
        self.pen.quad(q, ink);
    }

    /// A convex polygon given by its corners around, as quadrilaterals that share the first corner.
    pub fn fan(&mut self, corners: &[V3], ink: Ink) {
        let mut i = 1;
        while i + 1 < corners.len() {
            let last = (i + 2).min(corners.len() - 1);
            self.quad(&Corners::new([corners[0], corners[i], corners[i + 1], corners[last]]), ink);
            i += 2;
        }
    }
}
