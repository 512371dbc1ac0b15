//! Conversations to prompt text, through the model's own Jinja template.
//!
//! Templates come with model files and are not trusted: they run in minijinja without loaders, includes or host
//! functions beyond three harmless ones, on 100 000 instructions, bounded recursion and 1 MB of output.
//! (Strings a template builds without writing them are bounded by the instructions alone.) As in
//! `transformers`: blocks are trimmed, `tojson` writes Python's separators, `raise_exception` and `strftime_now` exist,
//! and `chat_template.jinja` goes before `chat_template.json` and the template in `tokenizer_config.json`.
//! Without any, the ChatML rendering written out in [`ChatTemplate::chatml`] is used.

mod functions;

use super::tokenizer::Tokenizer;
use crate::error::{Failure, Result, io_at};
use data::{Part, Role, Turn};
use minijinja::{Environment, Value, syntax::SyntaxConfig};
use serde_json::json;
use std::{collections::BTreeMap, io, io::Read, path::Path};

/// Instructions one rendering may take.
const FUEL: u64 = 100_000;
/// Nesting of blocks, macros and loops.
const RECURSION: usize = 100;
/// Bytes of a rendered conversation.
const MAX_OUTPUT: usize = 1 << 20;
/// Bytes of a template.
const MAX_TEMPLATE: usize = 256 << 10;

/// A chat template ready to render.
#[derive(Clone)]
pub struct ChatTemplate {
    form: Form,
    variables: BTreeMap<String, Value>,
}

#[derive(Clone)]
enum Form {
    Jinja(Box<Environment<'static>>),
    ChatMl { system: Option<String> },
}

impl ChatTemplate {
    /// The template of a model folder, or the one its tokenizer carries, or plain ChatML.
    pub fn from_dir(dir: &Path, tokenizer: &Tokenizer) -> Result<ChatTemplate> {
        let path = dir.join("chat_template.jinja");
        let at = |path: &Path| path.display().to_string();
        let template = if let Some(source) = read(&path)? {
            Some(Self::jinja(&source).map_err(|e| e.context(at(&path)))?)
        } else {
            let path = dir.join("chat_template.json");
            let source = read(&path)?.map(|text| from_json(&text).map_err(|e| e.context(at(&path)))).transpose()?;
            source.map(|source| Self::jinja(&source).map_err(|e| e.context(at(&path)))).transpose()?
        };
        match template {
            Some(template) => Ok(template.with_names(tokenizer)),
            None => Self::from_tokenizer(tokenizer).map_err(|e| e.context(dir.join("tokenizer_config.json").display())),
        }
    }

    /// The template that `tokenizer_config.json` carries, or plain ChatML without a system turn of its own.
    pub fn from_tokenizer(tokenizer: &Tokenizer) -> Result<ChatTemplate> {
        let template = match tokenizer.chat_template() {
            Some(source) => Self::jinja(source)?,
            None => Self::chatml(None),
        };
        Ok(template.with_names(tokenizer))
    }

    /// The text of the template that [`Self::from_dir`] would take, from a folder's files in memory.
    ///
    /// # Errors
    /// A `chat_template.json` without a template, or text that is not UTF-8.
    pub fn source_in(files: &BTreeMap<String, Vec<u8>>, tokenizer: &Tokenizer) -> Result<Option<String>> {
        let text = |name: &str| {
            let read = |bytes: &Vec<u8>| String::from_utf8(bytes.clone());
            files.get(name).map(read).transpose().map_err(|_| Failure::data(format!("{name} is not UTF-8")))
        };
        if let Some(source) = text("chat_template.jinja")? {
            return Ok(Some(source));
        }
        match text("chat_template.json")? {
            Some(json) => from_json(&json).map(Some).map_err(|e| e.context("chat_template.json")),
            None => Ok(tokenizer.chat_template().map(str::to_string)),
        }
    }

    /// Compiles a Jinja template.
    pub fn jinja(source: &str) -> Result<ChatTemplate> {
        if source.len() > MAX_TEMPLATE {
            return Err(Failure::data(format!("a chat template of more than {MAX_TEMPLATE} bytes")));
        }
        let mut env = environment()?;
        env.add_template_owned("chat", source.to_string())
            .map_err(|e| wrong("the chat template does not parse", &e))?;
        Ok(ChatTemplate { form: Form::Jinja(Box::new(env)), variables: BTreeMap::new() })
    }

    /// ChatML written out by hand; `system` is the turn put first when a conversation has none (Qwen2 and Qwen2.5:
    /// "You are a helpful assistant.", Qwen3: nothing).
    pub fn chatml(system: Option<&str>) -> ChatTemplate {
        ChatTemplate { form: Form::ChatMl { system: system.map(str::to_string) }, variables: BTreeMap::new() }
    }

    /// Sets a variable that the template may ask for, such as `enable_thinking`.
    pub fn with_variable(mut self, name: &str, value: impl Into<Value>) -> ChatTemplate {
        self.variables.insert(name.to_string(), value.into());
        self
    }

    fn with_names(mut self, tokenizer: &Tokenizer) -> ChatTemplate {
        self.variables
            .extend(tokenizer.names().iter().map(|(name, token)| (name.clone(), Value::from(token.as_str()))));
        self
    }

    /// The prompt text of a conversation; with `add_generation_prompt` it ends where the assistant begins to write.
    pub fn render(&self, turns: &[Turn], add_generation_prompt: bool) -> Result<String> {
        self.render_messages(&serde_json::Value::Array(turns.iter().map(message).collect()), add_generation_prompt)
    }

    /// Like [`Self::render`], from messages in the form `transformers` takes.
    pub fn render_messages(&self, messages: &serde_json::Value, add_generation_prompt: bool) -> Result<String> {
        let env = match &self.form {
            Form::ChatMl { system } => return chatml(messages, system.as_deref(), add_generation_prompt),
            Form::Jinja(env) => env,
        };
        let mut context: BTreeMap<&str, Value> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        context.insert("messages", functions::value(messages));
        context.insert("add_generation_prompt", add_generation_prompt.into());
        context.insert("tools", Value::from(()));
        context.insert("documents", Value::from(()));
        let mut out = Bounded(Vec::new());
        let template = env.get_template("chat").map_err(|e| wrong("the chat template is gone", &e))?;
        template
            .render_captured_to(Value::from_pairs(context), &mut out)
            .map_err(|e| wrong("the chat template failed", &e))?;
        String::from_utf8(out.0).map_err(|_| Failure::data("the chat template wrote invalid UTF-8"))
    }
}

/// An environment with the ways of `transformers` and the limits above, without templates.
pub(super) fn environment() -> Result<Environment<'static>> {
    let mut env = Environment::new();
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    env.set_syntax(syntax.map_err(|e| wrong("the template syntax", &e))?);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.add_filter("tojson", functions::tojson);
    env.add_function("raise_exception", functions::raise_exception);
    env.add_function("strftime_now", functions::strftime_now);
    Ok(env)
}

/// A turn as `transformers` takes it: a string, or a list of parts where there are pictures.
fn message(turn: &Turn) -> serde_json::Value {
    let role = match turn.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let pictures = turn.parts.iter().any(|part| matches!(part, Part::Image));
    if !pictures {
        return json!({"role": role, "content": text_of(turn)});
    }
    let parts: Vec<_> = turn
        .parts
        .iter()
        .map(|part| match part {
            Part::Image => json!({"type": "image"}),
            Part::Text(text) => json!({"type": "text", "text": text}),
        })
        .collect();
    json!({"role": role, "content": parts})
}

/// The text parts of a turn, one after the other.
pub fn text_of(turn: &Turn) -> String {
    turn.parts
        .iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Image => None,
        })
        .collect()
}

/// ChatML with Qwen's image marks.
fn chatml(messages: &serde_json::Value, system: Option<&str>, add_generation_prompt: bool) -> Result<String> {
    let messages = messages.as_array().ok_or_else(|| Failure::data("messages are not a list"))?;
    let mut out = String::new();
    let mut turn = |role: &str, text: &str| {
        for piece in ["<|im_start|>", role, "\n", text, "<|im_end|>\n"] {
            out.push_str(piece);
        }
    };
    if let (Some(system), false) = (system, messages.first().is_some_and(|m| m["role"] == "system")) {
        turn("system", system);
    }
    for message in messages {
        let text = match &message["content"] {
            serde_json::Value::Array(parts) => parts.iter().map(part).collect::<String>(),
            content => content.as_str().unwrap_or_default().to_string(),
        };
        turn(message["role"].as_str().unwrap_or("user"), &text);
    }
    if add_generation_prompt {
        out.push_str("<|im_start|>assistant\n");
    }
    match out.len() {
        0..=MAX_OUTPUT => Ok(out),
        n => Err(too_long(n)),
    }
}

fn part(part: &serde_json::Value) -> &str {
    match part["type"].as_str() {
        Some("image") => "<|vision_start|><|image_pad|><|vision_end|>",
        Some("video") => "<|vision_start|><|video_pad|><|vision_end|>",
        _ => part["text"].as_str().unwrap_or_default(),
    }
}

/// A writer that stops at [`MAX_OUTPUT`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::Error::other(too_long(self.0.len() + bytes.len()).message));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_long(bytes: usize) -> Failure {
    Failure::data(format!("a rendered conversation of {bytes} bytes or more; {MAX_OUTPUT} are allowed"))
        .hint("shorten the conversation")
}

/// A template's failure: its own message for `raise_exception`, the place for everything else.
fn wrong(what: &str, e: &minijinja::Error) -> Failure {
    let mut text = format!("{what}: {e}");
    let mut source = std::error::Error::source(e);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    Failure::data(text).hint("try another chat template (chat_template.jinja in the model folder), or other turns")
}

fn read(path: &Path) -> Result<Option<String>> {
    let file = match std::fs::File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_at(path)(e)),
        Ok(file) => file,
    };
    let mut text = String::new();
    file.take(2 * MAX_TEMPLATE as u64).read_to_string(&mut text).map_err(|e| io_at(path)(e))?;
    Ok(Some(text))
}

/// The `chat_template` of a `chat_template.json`: a string, or the one named `default` of several.
fn from_json(text: &str) -> Result<String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|e| Failure::data(e.to_string()))?;
    let found = match &json["chat_template"] {
        serde_json::Value::Array(all) => {
            all.iter().find(|t| t["name"] == "default").and_then(|t| t["template"].as_str())
        }
        other => other.as_str(),
    };
    found.map(str::to_string).ok_or_else(|| Failure::data("there is no string \"chat_template\""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    pub fn turn(role: Role, parts: &[Option<&str>]) -> Turn {
        let parts = parts.iter().map(|p| p.map_or(Part::Image, |text| Part::Text(text.into()))).collect();
        Turn { role, parts }
    }

    fn conversation() -> Vec<Turn> {
        vec![
            turn(Role::System, &[Some("Be brief.")]),
            turn(Role::User, &[None, Some("What \"is\" ahead?"), None]),
            turn(Role::Assistant, &[Some("A bus.\n")]),
            turn(Role::User, &[Some(" {{ 1 }} ok")]),
        ]
    }

    #[test]
    fn our_template_is_chatml() {
        let ours = ChatTemplate::jinja(include_str!("../../prompts/chatml.jinja")).unwrap();
        for (n, generate) in [(1, true), (2, false), (2, true), (3, false), (4, true)] {
            let turns = &conversation()[4 - n..];
            assert_eq!(
                ours.render(turns, generate).unwrap(),
                ChatTemplate::chatml(None).render(turns, generate).unwrap()
            );
        }
        assert_eq!(
            ours.render(&conversation()[1..2], true).unwrap(),
            "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What \"is\" ahead?\
             <|vision_start|><|image_pad|><|vision_end|><|im_end|>\n<|im_start|>assistant\n"
        );
        let with = ChatTemplate::chatml(Some("You are a helpful assistant."));
        assert!(with.render(&conversation()[1..2], true).unwrap().starts_with("<|im_start|>system\nYou are a"));
        assert!(!with.render(&conversation(), true).unwrap().contains("helpful"));
    }

    #[test]
    fn the_ways_of_hugging_face() {
        let render = |source: &str| ChatTemplate::jinja(source).and_then(|t| t.render(&conversation(), false));
        assert_eq!(render("{% if true %}\n  {% set x = 1 %}\na\n{% endif %}\n").unwrap(), "a\n");
        assert_eq!(
            render("{{ {'b': [1, 2.5, none], 'a': '<é>'} | tojson }}").unwrap(),
            "{\"b\": [1, 2.5, null], \"a\": \"<é>\"}"
        );
        assert_eq!(render("{{ {'b': [1]} | tojson(indent=2) }}").unwrap(), "{\n  \"b\": [\n    1\n  ]\n}");
        assert_eq!(render("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}").unwrap(), "{\"a\": 2, \"b\": 1}");
        assert_eq!(render("{{ messages[0].content.split(' ')[-1].strip('.') }}").unwrap(), "brief");
        assert_eq!(render("{% if tools %}x{% endif %}{% if enable_thinking is defined %}y{% endif %}").unwrap(), "");
        assert_eq!(render("{{ strftime_now('%Y') | length }}").unwrap(), "4");
        let failure = render("{{ raise_exception('roles must alternate') }}").unwrap_err();
        assert!(failure.message.contains("roles must alternate"), "{failure}");
        let with = ChatTemplate::jinja("{{ enable_thinking }}").unwrap().with_variable("enable_thinking", false);
        assert_eq!(with.render(&[], false).unwrap().to_lowercase(), "false");
    }

    #[test]
    fn hostile_templates_stop() {
        for source in [
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "{{ 'a' * 2000000 }}",
            "{% for a in range(9999) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' }}{% endfor %}",
            "{% include 'chat' %}",
            "{% include '/etc/passwd' %}",
            "{% extends 'chat' %}",
            "{{ messages.nothing.at.all }}",
            "{% if %}",
            "{{ ''.__class__.__mro__ }}",
        ] {
            let start = std::time::Instant::now();
            let failure = ChatTemplate::jinja(source).and_then(|t| t.render(&conversation(), true)).unwrap_err();
            assert!(failure.hint.is_some());
            assert!(start.elapsed().as_secs() < 5, "{source}");
        }
        assert!(ChatTemplate::jinja(&"a".repeat(MAX_TEMPLATE + 1)).is_err());
    }

    #[test]
    fn where_templates_come_from() {
        let dir = tempfile::tempdir().unwrap();
        let tokenizer = crate::vlm::tokenizer::train(["a"], 270).unwrap().tokenizer().unwrap();
        let say = |text: &str| {
            ChatTemplate::from_dir(dir.path(), &tokenizer).unwrap().render(&conversation(), false).unwrap() == text
        };
        assert!(say(&ChatTemplate::chatml(None).render(&conversation(), false).unwrap()));
        std::fs::write(dir.path().join("chat_template.json"), r#"{"chat_template": "json {{ eos_token }}"}"#).unwrap();
        assert!(say("json <|im_end|>"));
        let many = r#"{"chat_template": [{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]}"#;
        std::fs::write(dir.path().join("chat_template.json"), many).unwrap();
        assert!(say("d"));
        std::fs::write(dir.path().join("chat_template.jinja"), "jinja").unwrap();
        assert!(say("jinja"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn any_template_text_renders_or_fails(
            pieces in proptest::collection::vec(
                "(\\{%-? (if|for|endfor|endif|set|macro|endmacro|else) ?|x|messages|m in messages| ?-?%\\}|\\{\\{ ?|\\}\\}|\\[0\\]|\\.role| \\+ |'a'|\\| tojson|range\\(9\\)|\\PC)",
                0..25,
            ),
        ) {
            if let Ok(template) = ChatTemplate::jinja(&pieces.concat()) {
                let _ = template.render(&conversation(), true);
            }
        }
    }
}
