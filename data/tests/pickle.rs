//! The unpickler on pickles that Python made (`cases/pickle`, both numpy majors, protocols 0 to 5), on pickles that break
//! one rule each, and on damaged and random bytes; and the writer, whose bytes Python read (`written.jsonl`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use data::pickle::{Limits, Pickle, PickleError, node::Node, read};
use proptest::prelude::*;
use std::sync::LazyLock;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cases/pickle/");

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FOLDER}{name}")).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn open(bytes: &[u8]) -> Pickle<'_> {
    read(bytes, Limits::default()).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn submissions_of_every_protocol_and_numpy() {
    for tag in ["np1", "np2"] {
        for protocol in 0..6 {
            let bytes = file(&format!("submission_p{protocol}_{tag}.pkl"));
            let pickle = open(&bytes);
            let root = pickle.root();
            assert_eq!(root.get("team_name").unwrap().text(), Some("team"));
            let tokens = root.get("predictions").unwrap().items().unwrap().next().unwrap();
            let found: Vec<(&str, Vec<f64>)> = tokens
                .entries()
                .unwrap()
                .map(|(token, t)| (token.text().unwrap(), t.get("poses").unwrap().array_numbers().unwrap()))
                .collect();
            assert_eq!(found.len(), 2, "p{protocol} {tag}");
            assert_eq!(found[0].0, "0123456789abcdef");
            assert_eq!(found[0].1[..6], [2.5, -0.25, 0.125, 5.0, -0.5, 0.25]);
            assert_eq!(found[1].1[21..], [21.0, -1.0, 1.0]);
            let sampling = tokens.entries().unwrap().next().unwrap().1.get("trajectory_sampling").unwrap();
            assert_eq!(sampling.get("num_poses").unwrap().integer(), Some(8));
            assert_eq!(sampling.get("interval_length").unwrap().number(), Some(0.5));
        }
    }
}

#[test]
fn scalars_and_odd_arrays() {
    for tag in ["np1", "np2"] {
        for protocol in [0, 2, 5] {
            let bytes = file(&format!("scalars_p{protocol}_{tag}.pkl"));
            let pickle = open(&bytes);
            let v: Vec<_> = pickle.root().items().unwrap().collect();
            let numbers: Vec<f64> = v[..4].iter().map(|v| v.number().unwrap()).collect();
            assert_eq!(numbers, [0.5, -2.0, -7.0, 200.0]);
            assert_eq!((v[4].truth(), v[5].text()), (Some(true), Some("x\u{e9}")));
            assert_eq!(v[6].texts().unwrap(), ["a", "bcd"]);
            assert_eq!((v[7].texts(), v[7].array().unwrap().shape.as_slice()), (None, &[2][..]));
            assert_eq!(
                (v[8].array_numbers().unwrap(), v[8].array().unwrap().count()),
                (vec![0., 1., 2., 3., 4., 5.], 6)
            );
            assert_eq!(v[9].texts().unwrap(), Vec::<String>::new());
            assert_eq!(*v[10].node(), Node::Bytes(b""[..].into()));
            assert_eq!(*v[11].node(), Node::Bytes(b"\x00\xff"[..].into()));
            assert_eq!((v[12].integer(), v[13].integer(), v[14].number()), (Some(1 << 40), Some(-1), Some(1.5)));
            assert_eq!(v[15].text(), Some("\u{2713}\n\\"));
            assert_eq!(v[16].items().unwrap().map(|v| v.integer().unwrap()).collect::<Vec<_>>(), [1]);
            assert_eq!((v[17].items().unwrap().len(), v[18].node()), (0, &Node::None));
        }
    }
}

/// One pickle per rule.
#[test]
fn every_rule_has_its_error() {
    use PickleError as E;
    let says = |bytes: &[u8]| read(bytes, Limits { stack: 100, depth: 10, nodes: 200 }).unwrap_err();
    let is = |bytes: &[u8], e: E| assert_eq!(says(bytes), e);
    is(b"", E::NoStop { at: 0 });
    is(b"\x80\x04N", E::NoStop { at: 3 });
    is(b"X\xff\xff\xff\xffab", E::CutOff { at: 5, needed: 0xffff_ffff, left: 2 });
    is(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", E::CutOff { at: 9, needed: u64::MAX, left: 1 });
    is(b"\xfe.", E::UnknownOpcode { at: 0, code: 0xfe });
    is(b"\x80\x06N.", E::Protocol { at: 0, found: 6 });
    is(b"Pid\n.", E::Outside { at: 0, name: "a persistent id" });
    is(b"\x82\x01.", E::Outside { at: 0, name: "the extension registry" });
    is(b"\x97.", E::Outside { at: 0, name: "an out-of-band buffer" });
    is(b"cos\nsystem\n(S'ls'\ntR.", E::Refused { at: 0, name: "os.system".into() });
    is(b"\x8c\x08builtins\x8c\x04eval\x93.", E::Refused { at: 16, name: "builtins.eval".into() });
    is(b"(ios\nsystem\n.", E::Refused { at: 1, name: "os.system".into() });
    is(
        b"K\x01K\x02\x93.",
        E::WrongOperand { at: 4, opcode: "STACK_GLOBAL", expected: "a text", found: "a whole number" },
    );
    is(b"NN\x81.", E::WrongOperand { at: 2, opcode: "NEWOBJ", expected: "a class or function", found: "None" });
    is(b"NNb.", E::WrongOperand { at: 2, opcode: "BUILD", expected: "an object and its attributes", found: "None" });
    is(b"NNa.", E::WrongOperand { at: 2, opcode: "APPEND", expected: "a list or set", found: "None" });
    is(b".", E::EmptyStack { at: 0, opcode: "STOP" });
    is(b"N(a.", E::EmptyStack { at: 2, opcode: "APPEND" });
    is(b"e.", E::NoMark { at: 0, opcode: "APPENDS" });
    is(b"}(Nu.", E::OddDict { at: 3, count: 1 });
    is(b"h\x07.", E::NoMemo { at: 0, index: 7 });
    is(b"\x8a\x09123456789.", E::LongNumber { at: 0, bytes: 9 });
    is(b"Itwo\n.", E::BadNumber { at: 0, found: "two".into(), expected: "a whole number of 64 bits" });
    is(b"X\x01\0\0\0\xff.", E::BadText { at: 0 });
    is(b"S'\\q'\n.", E::BadQuote { at: 0, reason: "an unknown escape" });
    is(b"NN.N", E::Trailing { at: 3, left: 1 });
    is(&[b'N'; 101], E::StackLimit { at: 100, limit: 100 });
    is(&[b'('; 11], E::DepthLimit { at: 10, limit: 10 });
    is(&b"N0".repeat(201), E::NodeLimit { at: 400, limit: 200 });
    let dtype = |name: &str| [b"cnumpy\ndtype\n(V", name.as_bytes(), b"\nI00\nI01\ntR"].concat();
    is(&[dtype("V16"), b".".to_vec()].concat(), E::DType { at: 28, found: "V16".into() });
    let array = |shape: &str, bytes: usize| {
        let head = b"cnumpy.core.numeric\n_frombuffer\n(C".to_vec();
        [head, vec![bytes as u8], vec![0; bytes], dtype("f8"), shape.into(), b"X\x01\0\0\0CtR.".to_vec()].concat()
    };
    assert!(read(&array("(I2\nI3\nt", 48), Limits::default()).is_ok());
    assert!(matches!(says(&array("(I2\nI3\nt", 47)), E::ArraySize { item: 8, found: 47, .. }));
    assert!(matches!(says(&array("(I4611686018427387904\nI4\nt", 0)), E::ArraySize { .. }));
    assert!(matches!(says(&array("(I0\nI4611686018427387904\nI8\nt", 0)), E::ArraySize { .. }));
    assert!(matches!(says(&array("(I-1\nt", 8)), E::WrongOperand { opcode: "a numpy shape", .. }));
    assert!(matches!(says(&array("(I1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nI1\nt", 8)), E::Dimensions { found: 9, .. }));
    let call = says(b"cnumpy.core.multiarray\nscalar\n)R.");
    assert_eq!(
        call.to_string(),
        "byte 31: numpy scalar is called with nothing; a plain numpy type and its bytes is needed"
    );
    let evil = file("evil.pkl");
    let refused = read(&evil, Limits::default()).unwrap_err();
    assert!(matches!(&refused, E::Refused { name, .. } if name == "evil.module.Evil"), "{refused}");
    assert!(refused.hint().is_some());
}

/// A value that holds itself, and one that would be 2^200 values if it were written out.
#[test]
fn cycles_and_bombs_cost_nothing() {
    let cycle = open(b"]q\x00h\x00a.");
    assert_eq!(cycle.root().items().unwrap().next().unwrap().items().unwrap().len(), 1);
    let mut bomb = b"]q\x00".to_vec();
    for i in 1..=200u8 {
        bomb.extend([b']', b'q', i, b'(', b'h', i - 1, b'h', i - 1, b'e']);
    }
    bomb.push(b'.');
    assert_eq!(open(&bomb).len(), 201);
    // Copies are charged: a shared text cannot be turned into bytes for ever.
    let mut copies = b"c_codecs\nencode\nq\x00X\x00\x10\0\0".to_vec();
    copies.extend([b'a'; 4096]);
    copies.extend(b"q\x01X\x06\0\0\0latin1q\x02");
    copies.extend(b"h\x00h\x01h\x02\x86R0".repeat(1000));
    copies.push(b'.');
    assert!(matches!(read(&copies, Limits::default()), Err(PickleError::NodeLimit { .. })));
}

const SEEDS: [&str; 12] = [
    "submission_p0_np1.pkl",
    "submission_p1_np2.pkl",
    "submission_p2_np2.pkl",
    "submission_p3_np1.pkl",
    "submission_p4_np1.pkl",
    "submission_p5_np2.pkl",
    "two_stage_np1.pkl",
    "log_np1.pkl",
    "scalars_p0_np2.pkl",
    "scalars_p2_np2.pkl",
    "scalars_p5_np1.pkl",
    "evil.pkl",
];
static BYTES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| SEEDS.iter().map(|name| file(name)).collect());

/// Reads, and looks at everything that was read.
fn walk(bytes: &[u8]) -> Result<(), TestCaseError> {
    match read(bytes, Limits::default()) {
        Ok(pickle) => {
            prop_assert!(pickle.len() <= bytes.len());
            let mut open = vec![(pickle.root(), 0)];
            let mut left = 20_000;
            while let Some((view, depth)) = open.pop() {
                left -= 1;
                if left == 0 || depth > 40 {
                    break;
                }
                let numbers = view.numbers().map_or(0, |n| n.len()) + view.texts().map_or(0, |t| t.len());
                prop_assert!(numbers <= 2 * bytes.len());
                open.extend(view.items().into_iter().flatten().map(|v| (v, depth + 1)));
                open.extend(view.entries().into_iter().flatten().flat_map(|(k, v)| [(k, depth + 1), (v, depth + 1)]));
            }
        }
        Err(e) => prop_assert!(e.to_string().len() < 600, "{e}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]
    #[test]
    fn damaged_pickles_never_panic(
        seed in 0..SEEDS.len(),
        damages in prop::collection::vec((0.0..1.0f64, any::<u8>(), 0..4u8, 0.0..1.0f64), 1..6),
    ) {
        let mut bytes = BYTES[seed].clone();
        for (at, byte, kind, other) in damages {
            let place = |f: f64, n: usize| ((n as f64 * f) as usize).min(n.saturating_sub(1));
            let n = bytes.len();
            if n == 0 { break }
            match kind {
                0 => bytes[place(at, n)] = byte,
                1 => bytes.insert(place(at, n), byte),
                2 => { bytes.remove(place(at, n)); }
                _ => {
                    let from = place(other, n);
                    let piece = bytes[from..(from + usize::from(byte)).min(n)].to_vec();
                    drop(bytes.splice(place(at, n)..place(at, n), piece));
                }
            }
        }
        walk(&bytes)?;
    }

    /// Opcodes alone, short arguments: deep into the machine.
    #[test]
    fn random_opcodes_never_panic(bytes in prop::collection::vec(prop_oneof![
        prop::sample::select(b"(.012NJKMGTUXBC])}leautsdpqrgjhRboicIFLSV\x80\x81\x85\x86\x87\x88\x89\x8a\x8c\x8f\x90\x91\x92\x93\x94\x95".to_vec()),
        0..6u8,
        any::<u8>(),
    ], 0..200)) {
        walk(&bytes)?;
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        walk(&bytes)?;
    }
}
