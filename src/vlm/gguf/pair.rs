//! Two files that are one model: finding the vision half beside a text model, and checking that they belong together.

use super::{config, file::GgufFile, language};
use crate::{
    error::{Failure, Result, io_at},
    vlm::config::VlmConfig,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A text model and its vision half.
pub struct Pair {
    /// The text model.
    pub text: GgufFile,
    /// `mmproj`.
    pub vision: GgufFile,
    /// The model's configuration.
    pub config: VlmConfig,
    /// What the files say beside the tensors, as the files of a Hugging Face folder: `config.json`, `tokenizer.json`, ..
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Pair {
    /// Opens both files.
    ///
    /// # Errors
    /// A header that breaks a rule, metadata that are missing or mean another architecture, halves of different models.
    pub fn open(text: &Path, vision: &Path) -> Result<Self> {
        let (text, vision) = (GgufFile::open(text)?, GgufFile::open(vision)?);
        let json = config::config_json(&text, &vision)?;
        let config = VlmConfig::from_json(&json)
            .map_err(|e| e.context(text.path.display()).or_hint("the metadata of the two files do not fit together"))?;
        let mut files = language::files(&text, &vision, &config)?;
        files.insert("config.json".into(), format!("{json:#}\n").into_bytes());
        Ok(Pair { text, vision, config, files })
    }
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
}

fn is_vision(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().contains("mmproj"))
}

/// GGUF files of a folder: text models and vision halves, sorted.
fn candidates(dir: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let entries = std::fs::read_dir(dir).map_err(io_at(dir))?;
    let mut all: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|path| is_gguf(path)).collect();
    all.sort();
    Ok(all.into_iter().partition(|path| !is_vision(path)))
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy()).collect();
    names.join(", ")
}

const CHOOSE: &str = "put the text model and the one mmproj you want into a folder of their own and give that folder";

/// Text model and vision half that a `.gguf` file names: the half is the only `*mmproj*.gguf` beside it.
///
/// # Errors
/// The file is a vision half itself, or none or several lie beside it.
pub fn beside(path: &Path) -> Result<(PathBuf, PathBuf)> {
    let (texts, visions) = candidates(path.parent().unwrap_or(Path::new("")))?;
    if is_vision(path) {
        return Err(Failure::data(format!("{} is the vision half of a model", path.display())).hint(format!(
            "give the text model beside it{}",
            if texts.is_empty() { String::new() } else { format!(": {}", list(&texts)) }
        )));
    }
    match &visions[..] {
        [vision] => Ok((path.into(), vision.clone())),
        [] => Err(Failure::data(format!("{} has no vision half: no mmproj*.gguf lies beside it", path.display()))
            .hint("download the model's mmproj file into the same folder; a text model alone cannot see")),
        many => {
            Err(Failure::data(format!("several vision halves lie beside {}: {}", path.display(), list(many)))
                .hint(CHOOSE))
        }
    }
}

/// The pair in a folder of GGUF files; `None` when it has none.
///
/// # Errors
/// Not exactly one text model and one vision half.
pub fn inside(dir: &Path) -> Result<Option<(PathBuf, PathBuf)>> {
    let (texts, visions) = candidates(dir)?;
    match (&texts[..], &visions[..]) {
        ([], []) => Ok(None),
        ([text], [_]) => beside(text).map(Some),
        ([], _) => Err(Failure::data(format!("{} has {} but no text model", dir.display(), list(&visions)))
            .hint("download the model's text file into the same folder")),
        ([text], _) => beside(text).map(Some),
        (many, _) => Err(Failure::data(format!("{} has several models: {}", dir.display(), list(many)))
            .hint("give the file: --model DIR/NAME.gguf")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_half_beside_a_model_is_found_or_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let add = |name: &str| std::fs::write(at(name), "").unwrap();
        assert_eq!(inside(dir.path()).unwrap(), None);
        add("m-Q4_K.gguf");
        let alone = inside(dir.path()).unwrap_err();
        assert!(alone.message.contains("no vision half") && alone.hint.unwrap().contains("mmproj"));
        add("m.mmproj-f16.GGUF");
        let pair = (at("m-Q4_K.gguf"), at("m.mmproj-f16.GGUF"));
        assert_eq!(inside(dir.path()).unwrap(), Some(pair.clone()));
        assert_eq!(beside(&at("m-Q4_K.gguf")).unwrap(), pair);
        let half = beside(&at("m.mmproj-f16.GGUF")).unwrap_err();
        assert!(half.message.contains("vision half of") && half.hint.unwrap().contains("m-Q4_K.gguf"));
        add("m-Q8_0.gguf");
        let several = inside(dir.path()).unwrap_err();
        assert!(several.message.contains("m-Q4_K.gguf, m-Q8_0.gguf") && several.hint.unwrap().contains("--model"));
        assert_eq!(beside(&at("m-Q4_K.gguf")).unwrap(), pair);
        add("mmproj-F32.gguf");
        let halves = beside(&at("m-Q4_K.gguf")).unwrap_err();
        assert!(halves.message.contains("m.mmproj-f16.GGUF, mmproj-F32.gguf") && halves.hint.is_some());
    }
}
