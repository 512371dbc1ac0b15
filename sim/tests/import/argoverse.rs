//! Argoverse 2: an invented map in the exact schema; with the feature, a Parquet table written here.

use crate::{bytes, edited, near};
use sim::import::read_argoverse_map;
use sim::scenario::{Control, LaneKind, Mark, Turn};

const MAP: &str = "argoverse_map.json";

#[test]
fn the_map_has_lanes_with_relations() {
    let s = read_argoverse_map(&bytes(MAP), "invented").unwrap();
    let lanes = &s.map.lanes;
    assert_eq!(lanes.len(), 6);
    // Ids 101 to 106 in order; the successor 999 of lane 102 lies outside the map.
    assert_eq!((lanes[0].next.as_slice(), lanes[1].next.as_slice()), (&[2, 3][..], &[][..]));
    // The left neighbour of lane 101 is oncoming, that of 106 is for cars.
    assert_eq!((lanes[0].left, lanes[0].right, lanes[1].left, lanes[5].left), (None, Some(1), Some(0), None));
    assert_eq!((lanes[2].turn, lanes[3].turn, lanes[0].turn), (Turn::Straight, Turn::Left, Turn::None));
    assert_eq!((lanes[5].kind, lanes[5].width), (LaneKind::Bicycle, 1.5));
    // Bounds of 2 and 3 points.
    assert!((lanes[0].width - 3.5).abs() < 1e-4);
    let along = lanes[0].points.last().unwrap()[0] - lanes[0].points[0][0];
    assert!((along - 60.0).abs() < 1e-3);
    // Between 101 and 102 one line; the middle line and the outer one.
    let count = |m: Mark| s.map.lines.iter().filter(|l| l.mark == m).count();
    assert_eq!((count(Mark::YellowDouble), count(Mark::Dashed), count(Mark::Solid)), (1, 1, 2));
    assert_eq!((s.map.areas[0].len(), s.map.crosswalks.len()), (4, 1));
    assert_eq!(s.licence, "CC BY-NC-SA 4.0 (Argoverse 2)");
}

#[test]
fn positions_are_relative_to_the_mean_of_the_bounds() {
    let s = read_argoverse_map(&bytes(MAP), "invented").unwrap();
    assert!(s.map.lanes.iter().flat_map(|l| &l.points).all(|p| p[0].abs() < 100.0 && p[1].abs() < 20.0));
    // Lane 101 starts at (0, 2.25), lane 103 at (60, 2.25).
    let (a, b) = (s.map.lanes[0].points[0], s.map.lanes[2].points[0]);
    assert!(near([b[0] - a[0], b[1] - a[1]], [60.0, 0.0], 1e-3));
}

#[test]
fn without_tracks_ego_and_cars_are_added() {
    let s = read_argoverse_map(&bytes(MAP), "invented").unwrap();
    assert_eq!((s.agents[0].control, s.agents[0].route.as_slice()), (Control::Policy, &[0, 2][..]));
    assert!(s.agents[1..].iter().all(|a| a.control == Control::Idm));
}

#[test]
fn every_error_of_the_map_names_its_place() {
    let refused = |from: &str, to: &str, words: &[&str]| {
        let error = read_argoverse_map(&edited(MAP, from, to), "x").expect_err(to).to_string();
        assert!(words.iter().all(|w| error.contains(w)), "{to}: {error}");
    };
    refused("\"VEHICLE\"", "\"TRAM\"", &["lane_segments.101.lane_type is TRAM", "VEHICLE, BUS or BIKE"]);
    refused("\"successors\"", "\"followers\"", &["Argoverse 2 map JSON", "missing field `successors`", "line"]);
    refused("\"lane_segments\"", "\"lanes\"", &["missing field `lane_segments`"]);
    let text = String::from_utf8(bytes(MAP)).unwrap();
    let mut map: serde_json::Value = serde_json::from_str(&text).unwrap();
    map["lane_segments"]["102"]["left_lane_boundary"] = serde_json::json!([]);
    let error = read_argoverse_map(map.to_string().as_bytes(), "x").unwrap_err().to_string();
    assert!(error.contains("lane_segments.102.left_lane_boundary has 0 entries"), "{error}");
}

#[cfg(not(feature = "argoverse"))]
#[test]
fn tracks_need_the_feature() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scenario_x.parquet");
    std::fs::write(&path, b"PAR1").unwrap();
    let error = sim::import::read(&path, &Default::default()).unwrap_err().to_string();
    assert!(error.contains("feature `argoverse`"), "{error}");
}

#[cfg(feature = "argoverse")]
mod tracks {
    use super::MAP;
    use crate::{bytes, near};
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    use parquet::file::writer::SerializedFileWriter;
    use sim::import::{Options, read, read_argoverse};
    use sim::scenario::{AgentKind, Control, PropKind};
    use std::sync::Arc;

    /// (track, type, step, x, y, heading, vx, vy)
    type Row = (&'static str, &'static str, i64, f64, f64, f64, f64, f64);

    fn rows() -> Vec<Row> {
        let mut rows = Vec::new();
        // Steps in falling order: the table need not be sorted.
        for step in (0..110).rev() {
            let t = step as f64 * 0.1;
            rows.push(("AV", "vehicle", step, -395.0 + 6.0 * t, 1302.25, 0.0, 6.0, 0.0));
            if (20..50).contains(&step) {
                rows.push(("7", "pedestrian", step, -340.0, 1290.0 + t, std::f64::consts::FRAC_PI_2, 0.0, 1.0));
            }
            rows.push(("8", "construction", step, -350.0, 1295.0, 0.5, 0.0, 0.0));
            rows.push(("9", "background", step, -350.0, 1295.0, 0.5, 0.0, 0.0));
            rows.push(("10", "bus", step, -380.0 - t, 1305.5, 0.0, -1.0, 0.0));
        }
        rows
    }

    fn table(rows: &[Row], speed: &str) -> Vec<u8> {
        let schema = format!(
            "message scenario {{ required binary track_id (UTF8); required binary object_type (UTF8); required int64 timestep; \
             required double position_x; required double position_y; required double heading; required double {speed}; \
             required double velocity_y; required binary scenario_id (UTF8); }}"
        );
        let schema = Arc::new(parquet::schema::parser::parse_message_type(&schema).unwrap());
        let mut out = Vec::new();
        let mut file = SerializedFileWriter::new(&mut out, schema, Default::default()).unwrap();
        let mut group = file.next_row_group().unwrap();
        let strings: [fn(&Row) -> &'static str; 3] = [|r| r.0, |r| r.1, |_| "invented-1"];
        let numbers: [fn(&Row) -> f64; 5] = [|r| r.3, |r| r.4, |r| r.5, |r| r.6, |r| r.7];
        for column in ["s0", "s1", "step", "n0", "n1", "n2", "n3", "n4", "s2"] {
            let mut writer = group.next_column().unwrap().unwrap();
            match (column, column[1..].parse::<usize>()) {
                ("step", _) => {
                    let values: Vec<i64> = rows.iter().map(|r| r.2).collect();
                    writer.typed::<Int64Type>().write_batch(&values, None, None).unwrap();
                }
                (c, Ok(i)) if c.starts_with('s') => {
                    let values: Vec<ByteArray> = rows.iter().map(|r| ByteArray::from(strings[i](r))).collect();
                    writer.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
                }
                (_, i) => {
                    let values: Vec<f64> = rows.iter().map(numbers[i.unwrap()]).collect();
                    writer.typed::<DoubleType>().write_batch(&values, None, None).unwrap();
                }
            }
            writer.close().unwrap();
        }
        group.close().unwrap();
        file.close().unwrap();
        out
    }

    #[test]
    fn tracks_lie_on_the_map() {
        let s = read_argoverse(&bytes(MAP), &table(&rows(), "velocity_x"), &Options::default()).unwrap();
        assert_eq!((s.name.as_str(), s.agents.len(), s.map.props.len()), ("invented-1", 3, 1));
        assert!((s.duration - 10.9).abs() < 1e-5);
        let ego = &s.agents[0];
        assert_eq!((ego.control, ego.speed, ego.track.len()), (Control::Policy, 6.0, 110));
        // 5 m behind the start of lane 101, on its middle; after 10.9 s in lane 103.
        let start = s.map.lanes[0].points[0];
        assert!(near([ego.pose[0], ego.pose[1]], [start[0] + 5.0, start[1]], 1e-3));
        assert_eq!(ego.route, vec![0, 2]);
        // By track id: "10", then "7".
        assert_eq!((s.agents[1].kind, s.agents[1].speed), (AgentKind::Bus, -1.0));
        let walker = &s.agents[2];
        assert_eq!((walker.kind, walker.track.len()), (AgentKind::Pedestrian, 30));
        assert!((walker.track[0][0] - 2.0).abs() < 1e-6 && (walker.track[29][0] - 4.9).abs() < 1e-5);
        assert_eq!(s.map.props[0].kind, PropKind::Cone);
    }

    #[test]
    fn errors_of_the_table() {
        let map = bytes(MAP);
        let refused = |tracks: &[u8], words: &str| {
            let error = read_argoverse(&map, tracks, &Options::default()).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        };
        refused(&table(&rows(), "speed_x"), "row 0, column velocity_x is missing");
        let alone: Vec<Row> = rows().into_iter().filter(|r| r.0 != "AV").collect();
        refused(&table(&alone, "velocity_x"), "track_id AV (the recording car) is missing");
        let mut nan = rows();
        nan[3].3 = f64::NAN;
        refused(&table(&nan, "velocity_x"), "row 3, column position_x is NaN");
        let mut twice = rows();
        twice[0].2 = 5;
        refused(&table(&twice, "velocity_x"), "later than");
        refused(b"PAR1", "Parquet");
    }

    #[test]
    fn damaged_tables_are_errors() {
        let (map, good) = (bytes(MAP), table(&rows(), "velocity_x"));
        let mut refused = 0;
        for i in (0..good.len()).step_by(37) {
            let mut bad = good.clone();
            bad[i] ^= 0x55;
            refused += usize::from(read_argoverse(&map, &bad, &Options::default()).is_err());
            refused += usize::from(read_argoverse(&map, &good[..i], &Options::default()).is_err());
        }
        assert!(refused > good.len() / 37, "{refused} of {}", 2 * good.len() / 37);
    }

    #[test]
    fn files_find_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("scenario_1.parquet"), table(&rows(), "velocity_x")).unwrap();
        let error = read(&path("scenario_1.parquet"), &Options::default()).unwrap_err().to_string();
        assert!(error.contains("log_map_archive_*.json beside"), "{error}");
        std::fs::write(path("log_map_archive_1.json"), bytes(MAP)).unwrap();
        let a = read(&path("scenario_1.parquet"), &Options::default()).unwrap();
        assert_eq!(read(&path("log_map_archive_1.json"), &Options::default()).unwrap(), a);
    }
}
