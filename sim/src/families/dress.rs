//! What stands beside the road: houses, trees, hedges, walls; always off the road and clear of everyone's way.

use super::curve::Curve;
use super::place::{corners, is_free, overlap};
use super::roads::Cross;
use super::stage::Stage;
use crate::scenario::{Prop, PropKind};

/// Surroundings of a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theme {
    City,
    Suburb,
    Country,
    Works,
}

impl Stage {
    /// Dresses both sides of roads in one theme. `open` metres beside the kerb stay free of anything that hides.
    pub fn dress(&mut self, roads: &[(&Curve, &Cross)], open: f32) {
        let theme =
            self.draw.pick(&[Theme::City, Theme::City, Theme::Suburb, Theme::Suburb, Theme::Country, Theme::Works]);
        for &(curve, cross) in roads {
            for side in [-1.0, 1.0] {
                let kerb = if side < 0.0 { -cross.right() } else { cross.left() };
                self.dress_side(curve, side, kerb + cross.pavement.max(0.6), open, theme);
            }
        }
    }

    fn dress_side(&mut self, curve: &Curve, side: f32, from: f32, open: f32, theme: Theme) {
        let density = self.draw.range(0.5, 1.0);
        let mut s = self.draw.range(0.0, 8.0);
        while s < curve.length() {
            let (kind, size, setback) = self.thing(theme);
            if self.draw.chance(density) {
                let far = open.max(setback) + from + 0.5 * size[1];
                let jitter = self.draw.range(-0.04, 0.04);
                let pose = curve.place(s + 0.5 * size[0], side * far);
                self.put(kind, [pose[0], pose[1], pose[2] + jitter], size);
            }
            s += size[0] + self.draw.range(0.5, if theme == Theme::Country { 22.0 } else { 7.0 });
        }
    }

    fn thing(&self, theme: Theme) -> (PropKind, [f32; 3], f32) {
        let d = &self.draw;
        let roll = d.unit();
        match theme {
            Theme::City if roll < 0.75 => {
                (PropKind::Building, [d.range(9.0, 20.0), d.range(8.0, 13.0), d.range(6.0, 18.0)], d.range(0.2, 1.5))
            }
            Theme::Suburb if roll < 0.3 => {
                (PropKind::Building, [d.range(8.0, 13.0), d.range(7.0, 10.0), d.range(4.5, 8.0)], d.range(4.0, 9.0))
            }
            Theme::Suburb if roll < 0.6 => {
                (PropKind::Hedge, [d.range(4.0, 14.0), d.range(0.7, 1.2), d.range(0.9, 1.8)], d.range(0.3, 1.0))
            }
            Theme::Works if roll < 0.3 => (PropKind::Container, [d.range(5.0, 9.0), 2.5, 2.6], d.range(0.5, 3.0)),
            Theme::Works if roll < 0.65 => {
                (PropKind::Wall, [d.range(6.0, 18.0), 0.3, d.range(1.2, 2.4)], d.range(0.3, 1.5))
            }
            _ => {
                let crown = d.range(1.6, 3.4);
                (PropKind::Tree, [crown, crown, d.range(4.0, 9.0)], d.range(0.4, 5.0))
            }
        }
    }

    /// Puts a prop where nothing else is; says whether it did.
    pub fn put(&mut self, kind: PropKind, pose: [f32; 3], size: [f32; 3]) -> bool {
        let quad = corners(pose, [size[0], size[1]], 0.0);
        let taken = |p: &Prop| overlap(&quad, &corners([p.at[0], p.at[1], p.heading], [p.size[0], p.size[1]], 0.1));
        let free =
            !self.net.map.props.iter().any(taken) && is_free(&self.net.map, &self.agents, pose, [size[0], size[1]]);
        if free {
            self.force(kind, pose, size);
        }
        free
    }

    /// Puts a prop, whatever is there.
    pub fn force(&mut self, kind: PropKind, pose: [f32; 3], size: [f32; 3]) {
        let heading = crate::math::wrap(pose[2]);
        self.net.map.props.push(Prop { kind, at: [pose[0], pose[1]], heading, size });
    }
}
