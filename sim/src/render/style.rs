//! How a world looks: palettes, light, weather and camera jitter, drawn from a seed per episode (domain randomisation).

use super::frame::Frame;
use super::noise::{hash, unit};
use crate::math::sin_cos;
use crate::scenario::AgentKind;

/// A colour, 0x00BBGGRR.
pub(crate) type Rgb = u32;

/// A colour of its three bytes.
pub(crate) const fn rgb(r: u8, g: u8, b: u8) -> Rgb {
    r as u32 | (g as u32) << 8 | (b as u32) << 16
}

/// `(256 - t) / 256` of `a` and `t / 256` of `b`.
#[inline(always)]
pub(crate) fn mix(a: Rgb, b: Rgb, t: u32) -> Rgb {
    let s = 256 - t;
    let rb = ((a & 0xFF_00FF) * s + (b & 0xFF_00FF) * t) >> 8;
    let g = ((a & 0xFF00) * s + (b & 0xFF00) * t) >> 8;
    (rb & 0xFF_00FF) | (g & 0xFF00)
}

/// `t / 256` of `a`, t at most 256.
#[inline(always)]
pub(crate) fn dim(a: Rgb, t: u32) -> Rgb {
    let rb = ((a & 0xFF_00FF) * t) >> 8;
    let g = ((a & 0xFF00) * t) >> 8;
    (rb & 0xFF_00FF) | (g & 0xFF00)
}

/// The look of an episode. Equal styles give equal pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// Decides the colours of things by their number, and the noise.
    pub seed: u32,
    /// Whether surfaces have patches, windows, stripes: false draws plain colours.
    pub textured: bool,
    /// Asphalt, grass, pavement, paint and yellow paint, 0x00BBGGRR.
    pub surfaces: [u32; 5],
    /// Second shades of asphalt and grass for patches.
    pub patches: [u32; 2],
    /// Sky overhead and at the horizon (the colour of haze), 0x00BBGGRR.
    pub sky: [u32; 2],
    /// Direction to the sun on the ground, unit length.
    pub sun: [f32; 2],
    /// Light of sunlit and of shaded faces, of 256.
    pub light: [u32; 2],
    /// Metres at which haze hides half.
    pub haze: f32,
    /// Times the camera's field of view.
    pub fov_scale: f32,
    /// Radians added to the camera's pitch.
    pub pitch_jitter: f32,
    /// Metres added to the camera's height.
    pub height_jitter: f32,
    /// Largest change of a byte by noise; 0 for none.
    pub noise: u8,
    /// Whether the picture is smoothed along its rows.
    pub blur: bool,
    /// Whether the edge of the bonnet is drawn in cameras that look ahead.
    pub bonnet: bool,
}

impl Style {
    /// Midday in flat colours, close to a diagram; small jitter of colours by seed.
    pub fn plain(seed: u32) -> Style {
        let tint = |colour: Rgb, k: u32| jitter(colour, seed, k, 6);
        let (sun_sin, sun_cos) = sin_cos(unit(seed, 1) * std::f32::consts::TAU);
        let surfaces = [
            tint(rgb(84, 86, 92), 1),
            tint(rgb(86, 142, 72), 2),
            tint(rgb(176, 172, 166), 3),
            rgb(246, 246, 246),
            rgb(250, 200, 30),
        ];
        Style {
            seed,
            textured: false,
            surfaces,
            patches: [surfaces[0], surfaces[1]],
            sky: [tint(rgb(92, 158, 236), 4), tint(rgb(206, 226, 244), 5)],
            sun: [sun_cos, sun_sin],
            light: [256, 150],
            haze: 260.0,
            fov_scale: 1.0,
            pitch_jitter: 0.0,
            height_jitter: 0.0,
            noise: 0,
            blur: false,
            bonnet: true,
        }
    }

    /// Another look on another day: surfaces with patches, dusk or overcast or morning light, haze, camera jitter, noise.
    pub fn rich(seed: u32) -> Style {
        let pick = |k: u32| unit(seed, 100 + k);
        let between = |k: u32, low: f32, high: f32| low + (high - low) * pick(k);
        // Overhead, horizon, sunlit, shaded, and what the light does to surfaces.
        let (sky, light, cast) = match hash(seed, 99) % 4 {
            0 => ([rgb(70, 84, 130), rgb(244, 170, 112)], [250, 108], rgb(255, 190, 130)),
            1 => ([rgb(150, 158, 168), rgb(196, 200, 204)], [220, 170], rgb(190, 198, 210)),
            2 => ([rgb(120, 166, 214), rgb(250, 226, 186)], [256, 130], rgb(255, 236, 196)),
            _ => ([rgb(44, 56, 92), rgb(140, 130, 156)], [168, 96], rgb(130, 136, 190)),
        };
        let bases = [
            [rgb(70, 70, 74), rgb(104, 100, 96), rgb(88, 84, 92)],
            [rgb(112, 122, 62), rgb(148, 134, 84), rgb(70, 112, 58)],
            [rgb(196, 178, 152), rgb(150, 142, 146), rgb(170, 128, 108)],
        ];
        let surface = |kind: usize| {
            let base = bases[kind][hash(seed, 90 + kind as u32) as usize % 3];
            mix(jitter(base, seed, kind as u32, 12), cast, 50)
        };
        let surfaces =
            [surface(0), surface(1), surface(2), mix(rgb(236, 236, 230), cast, 60), mix(rgb(240, 178, 30), cast, 30)];
        let (sun_sin, sun_cos) = sin_cos(pick(1) * std::f32::consts::TAU);
        Style {
            seed,
            textured: true,
            surfaces,
            patches: [dim(surfaces[0], 226), mix(surfaces[1], rgb(60, 70, 30), 70)],
            sky,
            sun: [sun_cos, sun_sin],
            light,
            haze: between(2, 90.0, 240.0),
            fov_scale: between(3, 0.96, 1.04),
            pitch_jitter: between(4, -0.02, 0.02),
            height_jitter: between(5, -0.1, 0.1),
            noise: 4 + (pick(6) * 5.0) as u8,
            blur: pick(7) < 0.3,
            bonnet: true,
        }
    }

    /// The same look without camera jitter, noise and blur: for checks against geometry.
    pub fn steady(self) -> Style {
        Style { fov_scale: 1.0, pitch_jitter: 0.0, height_jitter: 0.0, noise: 0, blur: false, ..self }
    }

    /// Light on a face whose normal on the ground is this unit vector, of 256: four steps between shade and sun.
    pub(crate) fn lambert(&self, nx: f32, ny: f32) -> u32 {
        let d = nx * self.sun[0] + ny * self.sun[1];
        let [sunlit, shaded] = self.light;
        let step = if d > 0.5 {
            3
        } else if d > 0.0 {
            2
        } else if d > -0.5 {
            1
        } else {
            0
        };
        shaded + (sunlit - shaded) * step / 3
    }

    /// Part of haze at a depth, of 256.
    pub(crate) fn haze_at(&self, depth: f32) -> u32 {
        let d = depth.clamp(0.0, 1e4);
        (235.0 * d / (d + self.haze)) as u32
    }

    /// Body colour of an actor.
    pub(crate) fn body(&self, kind: AgentKind, id: u16) -> Rgb {
        const CARS: [Rgb; 12] = [
            rgb(196, 30, 36),
            rgb(32, 78, 182),
            rgb(226, 228, 230),
            rgb(40, 42, 48),
            rgb(148, 154, 160),
            rgb(24, 116, 78),
            rgb(236, 164, 28),
            rgb(110, 36, 120),
            rgb(66, 150, 196),
            rgb(122, 76, 44),
            rgb(242, 242, 244),
            rgb(92, 100, 110),
        ];
        const CLOTHES: [Rgb; 8] = [
            rgb(230, 40, 120),
            rgb(250, 140, 20),
            rgb(40, 90, 230),
            rgb(240, 220, 40),
            rgb(150, 40, 200),
            rgb(30, 170, 160),
            rgb(220, 40, 40),
            rgb(240, 240, 240),
        ];
        let h = hash(self.seed, 0x4000 + u32::from(id)) as usize;
        match kind {
            AgentKind::Bus => [rgb(222, 176, 28), rgb(196, 40, 44), rgb(38, 100, 180), rgb(60, 150, 80)][h % 4],
            AgentKind::Truck => [rgb(206, 208, 210), rgb(54, 96, 150), rgb(160, 60, 50), rgb(86, 120, 96)][h % 4],
            AgentKind::Emergency => rgb(244, 244, 246),
            AgentKind::Van => [rgb(236, 236, 238), rgb(150, 156, 164), rgb(52, 84, 140), rgb(196, 150, 60)][h % 4],
            AgentKind::Pedestrian | AgentKind::Cyclist | AgentKind::Motorcycle => CLOTHES[h % CLOTHES.len()],
            AgentKind::Car => CARS[h % CARS.len()],
        }
    }
}

/// A colour whose bytes are moved by up to `by`.
pub(crate) fn jitter(colour: Rgb, seed: u32, key: u32, by: i32) -> Rgb {
    let h = hash(seed, 0x8000 + key);
    let move_byte = |shift: u32| {
        let byte = (colour >> shift & 0xFF) as i32;
        let d = (h >> shift & 0xFF) as i32 % (2 * by + 1) - by;
        ((byte + d).clamp(0, 255) as u32) << shift
    };
    move_byte(0) | move_byte(8) | move_byte(16)
}

/// From colours to bytes, with the style's blur and noise.
pub(crate) fn finish(frame: &mut Frame, style: &Style, time: f32, vector: bool) {
    if style.blur {
        super::simd::blur(&mut frame.colour, frame.width, vector);
    }
    if style.noise > 0 {
        super::simd::speckle(&mut frame.colour, hash(style.seed, time.to_bits()), style.noise.min(100), vector);
    }
    super::simd::pack(&frame.colour, &mut frame.rgb, vector);
}
