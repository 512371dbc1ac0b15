//! The machine: a stack, marks and a memo. Values are numbers of nodes, so nothing is copied when a value is used twice.
//!
//! Every opcode makes at most one node and takes at least one byte, so the input bounds the memory; what is copied (escaped
//! texts, sets made from lists) is charged to [`Machine::charge`].

use super::{
    Limits,
    allowed::Name,
    cursor::Cursor,
    error::PickleError,
    node::{Id, Node, Pickle},
};
use std::collections::HashMap;

type Result<T> = std::result::Result<T, PickleError>;

/// State while reading.
pub(super) struct Machine<'a> {
    input: Cursor<'a>,
    limits: Limits,
    pub(super) nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    /// Where the opcode at work began.
    pub(super) at: usize,
    budget: usize,
}

/// Runs a pickle to its STOP.
pub(super) fn run(bytes: &[u8], limits: Limits) -> Result<Pickle<'_>> {
    let mut machine = Machine {
        input: Cursor::new(bytes),
        limits,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        at: 0,
        budget: bytes.len().saturating_mul(8).saturating_add(4096),
    };
    loop {
        machine.at = machine.input.at;
        let at = machine.at;
        let Some(code) = machine.input.byte() else { return Err(PickleError::NoStop { at }) };
        if code == b'.' {
            let root = machine.pop("STOP")?;
            let (at, left) = (machine.input.at, machine.input.left());
            return if left > 0 {
                Err(PickleError::Trailing { at, left })
            } else {
                Ok(Pickle { nodes: machine.nodes, root })
            };
        }
        machine.step(code)?;
    }
}

impl<'a> Machine<'a> {
    fn step(&mut self, code: u8) -> Result<()> {
        match code {
            0x80 => match self.input.u8()? as u8 {
                0..=5 => Ok(()),
                found => Err(PickleError::Protocol { at: self.at, found }),
            },
            // FRAME only says how much may be read ahead.
            0x95 => self.input.u64().map(|_| ()),
            b'(' => self.mark(),
            b'0' => self.discard(),
            b'1' => self.pop_to_mark("POP_MARK").map(|_| ()),
            b'2' => {
                let top = self.top("DUP")?;
                self.push_id(top)
            }
            b'p' | b'q' | b'r' | 0x94 => self.put(code),
            b'g' | b'h' | b'j' => self.get(code),
            b'c' | 0x93 => self.global(code == 0x93),
            b'R' | 0x81 | 0x92 | b'o' | b'i' => self.call(code),
            b'b' => self.build(),
            b'P' | b'Q' => Err(PickleError::Outside { at: self.at, name: "a persistent id" }),
            0x82..=0x84 => Err(PickleError::Outside { at: self.at, name: "the extension registry" }),
            0x97 | 0x98 => Err(PickleError::Outside { at: self.at, name: "an out-of-band buffer" }),
            b'l' | b't' | b'd' | b']' | b'}' | b')' | 0x85..=0x87 | 0x8f | 0x91 => self.container(code),
            b'a' | b'e' | b's' | b'u' | 0x90 => self.fill(code),
            _ => {
                let node = self.literal(code)?;
                self.push(node)
            }
        }
    }

    /// A value that stands in the input.
    fn literal(&mut self, code: u8) -> Result<Node<'a>> {
        let at = self.at;
        let text = |bytes: &'a [u8]| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Node::Text(text.into())),
            Err(_) => Err(PickleError::BadText { at }),
        };
        // Texts of Python 2 may be binary.
        let old = |bytes: &'a [u8]| match std::str::from_utf8(bytes) {
            Ok(text) => Node::Text(text.into()),
            Err(_) => Node::Bytes(bytes.into()),
        };
        let input = &mut self.input;
        Ok(match code {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'J' => Node::Int(input.i32()?),
            b'K' => Node::Int(input.u8()? as i64),
            b'M' => Node::Int(input.u16()? as i64),
            0x8a | 0x8b => {
                let bytes = if code == 0x8a { input.u8()? } else { input.u32()? };
                if bytes > 8 {
                    return Err(PickleError::LongNumber { at, bytes });
                }
                let word = input.take(bytes)?;
                let negative = word.last().is_some_and(|b| b & 0x80 != 0);
                let mut full = [if negative { 0xff } else { 0 }; 8];
                full.iter_mut().zip(word).for_each(|(to, from)| *to = *from);
                Node::Int(i64::from_le_bytes(full))
            }
            b'G' => Node::Float(input.f64()?),
            b'I' | b'L' | b'F' => super::reduce::number_line(code, at, input.text_line()?)?,
            b'S' => {
                let quoted = super::reduce::unquoted(at, input.line()?)?;
                self.charge(quoted.len())?;
                match String::from_utf8(quoted) {
                    Ok(text) => Node::Text(text.into()),
                    Err(e) => Node::Bytes(e.into_bytes().into()),
                }
            }
            b'V' => {
                let line = super::reduce::raw_unicode(at, input.line()?)?;
                self.charge(line.len())?;
                Node::Text(line.into())
            }
            b'U' => {
                let n = input.u8()?;
                old(input.take(n)?)
            }
            b'T' => {
                let n = input.u32()?;
                old(input.take(n)?)
            }
            0x8c => {
                let n = input.u8()?;
                text(input.take(n)?)?
            }
            b'X' => {
                let n = input.u32()?;
                text(input.take(n)?)?
            }
            0x8d => {
                let n = input.u64()?;
                text(input.take(n)?)?
            }
            b'C' => {
                let n = input.u8()?;
                Node::Bytes(input.take(n)?.into())
            }
            b'B' => {
                let n = input.u32()?;
                Node::Bytes(input.take(n)?.into())
            }
            0x8e | 0x96 => {
                let n = input.u64()?;
                Node::Bytes(input.take(n)?.into())
            }
            code => return Err(PickleError::UnknownOpcode { at, code }),
        })
    }

    fn container(&mut self, code: u8) -> Result<()> {
        let node = match code {
            b']' => Node::List(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            b')' => Node::Tuple(Vec::new()),
            0x8f => Node::Set(Vec::new()),
            0x85..=0x87 => {
                let n = usize::from(code - 0x84);
                Node::Tuple(self.pop_n(n, "TUPLE")?)
            }
            b'l' => Node::List(self.pop_to_mark("LIST")?),
            b't' => Node::Tuple(self.pop_to_mark("TUPLE")?),
            0x91 => Node::Set(self.pop_to_mark("FROZENSET")?),
            _ => {
                let items = self.pop_to_mark("DICT")?;
                Node::Dict(self.pairs(&items)?)
            }
        };
        self.push(node)
    }

    /// Adds to the container below.
    fn fill(&mut self, code: u8) -> Result<()> {
        let (opcode, items) = match code {
            b'a' => ("APPEND", self.pop_n(1, "APPEND")?),
            b's' => ("SETITEM", self.pop_n(2, "SETITEM")?),
            b'e' => ("APPENDS", self.pop_to_mark("APPENDS")?),
            b'u' => ("SETITEMS", self.pop_to_mark("SETITEMS")?),
            _ => ("ADDITEMS", self.pop_to_mark("ADDITEMS")?),
        };
        let wants_pairs = matches!(code, b's' | b'u');
        let pairs = if wants_pairs { self.pairs(&items)? } else { Vec::new() };
        let at = self.at;
        let top = self.top(opcode)?;
        match (self.nodes.get_mut(top as usize), code) {
            (Some(Node::List(list)), b'a' | b'e') => list.extend(items),
            (Some(Node::Set(set)), 0x90) => set.extend(items),
            (Some(Node::Dict(dict)), b's' | b'u') => dict.extend(pairs),
            (other, _) => {
                let expected = if wants_pairs { "a dict" } else { "a list or set" };
                let found = other.map_or("nothing", |node| node.kind());
                return Err(PickleError::WrongOperand { at, opcode, expected, found });
            }
        }
        Ok(())
    }

    pub(super) fn pairs(&self, items: &[Id]) -> Result<Vec<(Id, Id)>> {
        if !items.len().is_multiple_of(2) {
            return Err(PickleError::OddDict { at: self.at, count: items.len() });
        }
        Ok(items.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect())
    }

    fn global(&mut self, from_stack: bool) -> Result<()> {
        let found = if from_stack {
            let ids = self.pop_n(2, "STACK_GLOBAL")?;
            let text = |id: Option<&Id>| match id.and_then(|id| self.nodes.get(*id as usize)) {
                Some(Node::Text(text)) => Ok(text.clone()),
                other => Err(PickleError::WrongOperand {
                    at: self.at,
                    opcode: "STACK_GLOBAL",
                    expected: "a text",
                    found: other.map_or("nothing", |node| node.kind()),
                }),
            };
            let (module, name) = (text(ids.first())?, text(ids.get(1))?);
            self.named(&module, &name)?
        } else {
            let (module, name) = (self.input.text_line()?, self.input.text_line()?);
            self.named(module, name)?
        };
        self.push(Node::Name(found))
    }

    fn named(&self, module: &str, name: &str) -> Result<Name> {
        Name::find(module, name).ok_or_else(|| {
            let name: String = format!("{module}.{name}").chars().filter(|c| !c.is_control()).take(120).collect();
            PickleError::Refused { at: self.at, name }
        })
    }

    /// REDUCE, NEWOBJ, NEWOBJ_EX, OBJ and INST: what they make is decided in `reduce`.
    fn call(&mut self, code: u8) -> Result<()> {
        let at = self.at;
        let (callee, args) = match code {
            b'i' => {
                let (module, name) = (self.input.text_line()?, self.input.text_line()?);
                (self.named(module, name)?, self.pop_to_mark("INST")?)
            }
            b'o' => {
                let mut items = self.pop_to_mark("OBJ")?;
                if items.is_empty() {
                    return Err(PickleError::EmptyStack { at, opcode: "OBJ" });
                }
                (self.name_of(items.remove(0), "OBJ")?, items)
            }
            _ => {
                let opcode = if code == b'R' { "REDUCE" } else { "NEWOBJ" };
                let mut ids = self.pop_n(if code == 0x92 { 3 } else { 2 }, opcode)?;
                if code == 0x92 {
                    let keywords = ids.pop().and_then(|id| self.nodes.get(id as usize));
                    if !matches!(keywords, Some(Node::Dict(entries)) if entries.is_empty()) {
                        let found = keywords.map_or("nothing", |node| node.kind());
                        let expected = "no keyword arguments";
                        return Err(PickleError::WrongOperand { at, opcode: "NEWOBJ_EX", expected, found });
                    }
                }
                let (callee, args) = (ids.first().copied(), ids.get(1).copied());
                let callee = self.name_of(callee.unwrap_or_default(), opcode)?;
                match args.and_then(|id| self.nodes.get(id as usize)) {
                    Some(Node::Tuple(items)) => (callee, items.clone()),
                    other => {
                        let found = other.map_or("nothing", |node| node.kind());
                        return Err(PickleError::WrongOperand { at, opcode, expected: "a tuple", found });
                    }
                }
            }
        };
        // A shared tuple of arguments could be copied again and again.
        self.charge(4 * args.len())?;
        let node = self.reduce(callee, &args)?;
        self.push(node)
    }

    fn name_of(&self, id: Id, opcode: &'static str) -> Result<Name> {
        match self.nodes.get(id as usize) {
            Some(Node::Name(name)) => Ok(*name),
            other => Err(PickleError::WrongOperand {
                at: self.at,
                opcode,
                expected: "a class or function",
                found: other.map_or("nothing", |node| node.kind()),
            }),
        }
    }

    fn put(&mut self, code: u8) -> Result<()> {
        let index = match code {
            b'p' => self.index_line()?,
            b'q' => self.input.u8()?,
            b'r' => self.input.u32()?,
            _ => self.memo.len() as u64,
        };
        let top = self.top("PUT")?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn get(&mut self, code: u8) -> Result<()> {
        let index = match code {
            b'g' => self.index_line()?,
            b'h' => self.input.u8()?,
            _ => self.input.u32()?,
        };
        match self.memo.get(&index) {
            Some(id) => self.push_id(*id),
            None => Err(PickleError::NoMemo { at: self.at, index }),
        }
    }

    fn index_line(&mut self) -> Result<u64> {
        let (at, line) = (self.at, self.input.text_line()?);
        let found = || line.chars().take(40).collect();
        line.trim().parse().map_err(|_| PickleError::BadNumber { at, found: found(), expected: "a memo index" })
    }

    /// Takes from the budget for copies.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<()> {
        match self.budget.checked_sub(bytes) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(PickleError::NodeLimit { at: self.at, limit: self.limits.nodes }),
        }
    }

    fn mark(&mut self) -> Result<()> {
        if self.marks.len() >= self.limits.depth {
            return Err(PickleError::DepthLimit { at: self.at, limit: self.limits.depth });
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn push(&mut self, node: Node<'a>) -> Result<()> {
        let limit = self.limits.nodes.min(Id::MAX as usize);
        if self.nodes.len() >= limit {
            return Err(PickleError::NodeLimit { at: self.at, limit });
        }
        let id = self.nodes.len() as Id;
        self.nodes.push(node);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Result<()> {
        if self.stack.len() >= self.limits.stack {
            return Err(PickleError::StackLimit { at: self.at, limit: self.limits.stack });
        }
        self.stack.push(id);
        Ok(())
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn top(&self, opcode: &'static str) -> Result<Id> {
        match self.stack.last() {
            Some(id) if self.stack.len() > self.floor() => Ok(*id),
            _ => Err(PickleError::EmptyStack { at: self.at, opcode }),
        }
    }

    pub(super) fn pop(&mut self, opcode: &'static str) -> Result<Id> {
        let id = self.top(opcode)?;
        self.stack.pop();
        Ok(id)
    }

    /// POP takes a value, or a mark when nothing follows it.
    fn discard(&mut self) -> Result<()> {
        if self.stack.len() == self.floor() && self.marks.pop().is_some() {
            return Ok(());
        }
        self.pop("POP").map(|_| ())
    }

    fn pop_n(&mut self, n: usize, opcode: &'static str) -> Result<Vec<Id>> {
        match self.stack.len().checked_sub(n) {
            Some(from) if from >= self.floor() => Ok(self.stack.split_off(from)),
            _ => Err(PickleError::EmptyStack { at: self.at, opcode }),
        }
    }

    fn pop_to_mark(&mut self, opcode: &'static str) -> Result<Vec<Id>> {
        match self.marks.pop() {
            Some(from) => Ok(self.stack.split_off(from.min(self.stack.len()))),
            None => Err(PickleError::NoMark { at: self.at, opcode }),
        }
    }
}
