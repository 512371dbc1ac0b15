//! A tokenizer as lists: tokens in the order of their ids, what kind each is, and the merges. GGUF files hold it so.

use super::{Tokenizer, failed, train};
use crate::error::{Failure, Result};
use serde_json::{Value, json};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Learned.
    Normal,
    /// Added and special: never found in a user's text.
    Special,
    /// Added, not special.
    Added,
    /// An id that the model has and the tokenizer has not.
    Unused,
}

/// Tokens, kinds and merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// By id.
    pub tokens: Vec<String>,
    /// By id.
    pub kinds: Vec<TokenKind>,
    /// `left right`, in the order in which they are applied.
    pub merges: Vec<String>,
}

impl Listed {
    /// A `tokenizer.json` with Qwen's pipeline.
    ///
    /// # Errors
    /// A token that occurs twice.
    pub fn to_json(&self) -> Result<String> {
        let mut vocab = serde_json::Map::new();
        let mut added = Vec::new();
        for (id, (token, kind)) in self.tokens.iter().zip(&self.kinds).enumerate() {
            if *kind == TokenKind::Unused {
                continue;
            }
            // Added tokens are in the vocabulary too: no merge makes one, and their ids are certain.
            if vocab.insert(token.clone(), id.into()).is_some() {
                return Err(Failure::data(format!("the token {token:?} occurs twice")));
            }
            if *kind != TokenKind::Normal {
                added.push(json!({
                    "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": *kind == TokenKind::Special,
                }));
            }
        }
        let mut json = train::pipeline(json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": self.merges,
        }));
        json["added_tokens"] = added.into();
        Ok(json.to_string())
    }
}

impl Tokenizer {
    /// This tokenizer as lists of `rows` ids.
    ///
    /// # Errors
    /// A tokenizer that splits text in another way than Qwen's, or has ids from `rows` on.
    pub fn listed(&self, rows: usize) -> Result<Listed> {
        let read = |text: String| serde_json::from_str::<Value>(&text).map_err(|e| Failure::data(e.to_string()));
        let own = read(self.inner.to_string(false).map_err(failed)?)?;
        let empty = train::pipeline(json!({"type": "BPE", "vocab": {}, "merges": []})).to_string();
        let qwen = tokenizers::Tokenizer::from_bytes(empty).map_err(failed)?;
        let qwen = read(qwen.to_string(false).map_err(failed)?)?;
        for part in ["normalizer", "pre_tokenizer"] {
            if own[part] != qwen[part] {
                return Err(Failure::data(format!(
                    "the tokenizer's {part} is not Qwen's, which has a name in GGUF files"
                ))
                .hint("export to safetensors keeps tokenizer.json as it is"));
            }
        }
        let mut tokens: Vec<String> = (0..rows).map(|id| format!("[PAD{id}]")).collect();
        let mut kinds = vec![TokenKind::Unused; rows];
        let added = self.inner.get_added_tokens_decoder();
        for (token, id) in self.inner.get_vocab(true) {
            let Some(place) = tokens.get_mut(id as usize) else {
                return Err(Failure::data(format!("{token:?} has the id {id}; the model knows {rows}")));
            };
            *place = token;
            kinds[id as usize] = match added.get(&id) {
                None => TokenKind::Normal,
                Some(_) if self.is_special(id) => TokenKind::Special,
                Some(_) => TokenKind::Added,
            };
        }
        let merge = |merge: &Value| match merge {
            Value::String(text) => Some(text.clone()),
            pair => Some(format!("{} {}", pair[0].as_str()?, pair[1].as_str()?)),
        };
        let merges = own["model"]["merges"].as_array().and_then(|all| all.iter().map(merge).collect());
        let merges = merges.ok_or_else(|| Failure::data("the tokenizer's merges cannot be read"))?;
        Ok(Listed { tokens, kinds, merges })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn lists_come_back_as_the_same_tokenizer() {
        let texts = ["the road bends to the left <think> now </think>", "the road is clear, 12.4 m/s"];
        let own = train::train(texts, 300).unwrap().tokenizer().unwrap();
        let listed = own.listed(320).unwrap();
        assert_eq!((listed.tokens.len(), listed.kinds[319]), (320, TokenKind::Unused));
        let json = listed.to_json().unwrap();
        let back = Tokenizer::from_bytes(json.as_bytes(), None, None).unwrap();
        assert_eq!(back.listed(320).unwrap(), listed);
        assert_eq!((back.vocab_size(), back.special()), (own.vocab_size(), own.special()));
        for text in ["the road <|im_end|> é🚗 <think>", "", " 12.45\n\n  clear"] {
            assert_eq!(back.encode_text(text).unwrap(), own.encode_text(text).unwrap(), "{text:?}");
            assert_eq!(back.encode_rendered(text).unwrap(), own.encode_rendered(text).unwrap(), "{text:?}");
        }
        assert!(own.listed(100).unwrap_err().message.contains("the model knows 100"));
        let mut twice = listed;
        twice.tokens[3] = twice.tokens[2].clone();
        assert!(twice.to_json().unwrap_err().message.contains("occurs twice"));
    }
}
