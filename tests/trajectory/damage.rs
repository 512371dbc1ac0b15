//! Branches whose files are damaged: an error or sound branches, never a panic and never work without bounds.

use super::toy;
use proptest::prelude::*;
use reinsman::trajectory::{
    Branches, IlHead, IlOptions, Selector, Shape, TreeOptions, TreePolicy,
    branches::{About, Eyes},
    geometry::{POSES, check},
    plan,
};
use std::{collections::BTreeMap, sync::LazyLock};

/// Small branches by the name of their files.
static FILES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let shape = Shape { feature_width: toy::FEATURES, width: 8, heads: 2, layers: 1, inner: 8, registers: 2 };
    let il = IlOptions { shape: shape.clone(), modes: 2 };
    let tree = TreeOptions { shape: shape.clone(), ..TreeOptions::default() };
    let eyes = Eyes { name: "toy".into(), probe: vec![1.0, -2.0] };
    let branches = Branches {
        il: IlHead::new(&il, vec![[[1.0, 0.0]; POSES], [[2.0, 0.5]; POSES]], 1).unwrap(),
        tree: Some(TreePolicy::new(&tree, 2).unwrap()),
        selector: Some(Selector::new(&shape, 3).unwrap()),
        about: About { format: 1, il, tree: Some(tree), selector: Some(shape), threshold: 0.02, eyes, blind: false },
    };
    let file = |(path, bytes): (String, Vec<u8>)| (path.rsplit('/').next().unwrap().to_owned(), bytes);
    branches.files().unwrap().into_iter().map(file).collect()
});

fn read(files: &BTreeMap<String, Vec<u8>>) -> reinsman::error::Result<Branches> {
    Branches::from_files(&files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect())
}

/// Reads them with one file changed.
fn changed(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> reinsman::error::Result<Branches> {
    let mut files = FILES.clone();
    change(files.get_mut(name).unwrap());
    read(&files)
}

/// Plans with what was read: finite drives, or an error.
fn drive(branches: &Branches) {
    let (_, context, _) = toy::draw(2, "batch", 2);
    let (tree, selector) = (branches.tree.as_ref(), branches.selector.as_ref().unwrap());
    if let Ok(decisions) = plan::plan(&context, &branches.il, tree, selector, &[None; 2], 0.0) {
        decisions.iter().for_each(|decision| check(decision.trajectory()).unwrap());
    }
}

#[test]
fn whole_files_are_read_and_missing_ones_named() {
    drive(&read(&FILES).unwrap());
    for name in FILES.keys() {
        let mut files = FILES.clone();
        files.remove(name);
        let missing = read(&files).err().unwrap();
        assert!(missing.message.contains(name.as_str()) && missing.kind.exit_code() == 3, "{missing}");
    }
}

/// Sizes that a file cannot fill are refused before anything of that size is made.
#[test]
fn sizes_come_from_the_weights() {
    let text = String::from_utf8(FILES["branches.json"].clone()).unwrap();
    for (from, to) in [
        ("\"width\": 8", "\"width\": 65536"),
        ("\"inner\": 8", "\"inner\": 65536"),
        ("\"registers\": 2", "\"registers\": 65536"),
        ("\"modes\": 2", "\"modes\": 4096"),
        ("\"layers\": 1", "\"layers\": 64"),
        ("\"layers\": 1", "\"layers\": 65"),
    ] {
        assert!(text.contains(from), "{text}");
        let error = changed("branches.json", |bytes| *bytes = text.replace(from, to).into_bytes()).err().unwrap();
        assert!(!error.message.is_empty(), "{to}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_cut_file_is_an_error(file in 0usize..4, cut in any::<prop::sample::Index>()) {
        let name = FILES.keys().nth(file).unwrap();
        prop_assert!(changed(name, |bytes| bytes.truncate(cut.index(bytes.len()))).is_err());
    }

    #[test]
    fn any_change_is_an_error_or_sound(
        file in 0usize..4, at in any::<prop::sample::Index>(), byte: u8, header: bool,
    ) {
        let name = FILES.keys().nth(file).unwrap();
        let read = changed(name, |bytes| {
            let n = if header { bytes.len().min(400) } else { bytes.len() };
            bytes[at.index(n)] = byte;
        });
        if let Ok(branches) = read {
            drive(&branches);
        }
    }

    #[test]
    fn any_text_is_refused_or_sound(text in "\\PC{0,200}") {
        prop_assert!(changed("branches.json", |bytes| *bytes = text.into_bytes()).is_err());
    }
}
