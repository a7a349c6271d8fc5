//! The machine itself: a stack, marks on it, a memory of values, and one instruction after the other.

use super::{Fault, Global, Ref, Value};

/// Values of one pickle, and what they hold together; the largest models need thousands.
const MOST_VALUES: usize = 10_000_000;

pub(super) struct Machine<'p> {
    bytes: &'p [u8],
    pub(super) at: usize,
    pub(super) values: Vec<Value>,
    stack: Vec<Ref>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: Vec<Option<Ref>>,
    /// Items that were copied from one value into another.
    copied: usize,
}

impl<'p> Machine<'p> {
    pub(super) fn over(bytes: &'p [u8]) -> Self {
        Machine {
            bytes,
            at: 0,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
            copied: 0,
        }
    }

    /// What the last instruction leaves.
    pub(super) fn run(&mut self) -> Result<Ref, Fault> {
        loop {
            if let Some(result) = self.step()? {
                return Ok(result);
            }
        }
    }

    /// One instruction; the result when it was the last one.
    fn step(&mut self) -> Result<Option<Ref>, Fault> {
        let at = self.at;
        let most = self.values.len().max(self.stack.len()).max(self.copied);
        if most > MOST_VALUES {
            return Err(Fault::unreadable(
                "the pickle makes more than any model has",
            ));
        }
        let op = self.take(1)?[0];
        match op {
            0x80 => self.take(1).map(drop)?, // protocol
            0x95 => self.take(8).map(drop)?, // frame
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.pop().map(drop)?,
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'1' => self.popped_to_mark().map(drop)?,
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a | b'I' | b'L' | b'G' => self.number(op)?,
            b'X' | 0x8c | 0x8d | b'U' | b'T' | b'C' | b'B' | 0x8e => self.text(op)?,
            b')' | 0x85 | 0x86 | 0x87 | b't' => self.tuple(op)?,
            b']' => self.push(Value::List(Vec::new())),
            b'l' => {
                let items = self.popped_to_mark()?;
                self.push(Value::List(items));
            }
            b'}' => self.push(Value::Dict(Vec::new())),
            b'd' => {
                let items = self.popped_to_mark()?;
                let pairs = pairs(&items).ok_or_else(|| self.nonsense(at))?;
                self.push(Value::Dict(pairs));
            }
            b'a' | b'e' | b's' | b'u' => self.fill(op)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(op)?,
            b'c' | 0x93 => self.global(op)?,
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            b'R' | 0x81 => self.call()?,
            // Attributes of an object, such as the version notes of a state dict: not needed.
            b'b' => self.pop().map(drop)?,
            _ => return Err(self.nonsense(at)),
        }
        Ok(None)
    }

    fn nonsense(&self, at: usize) -> Fault {
        let op = self.bytes.get(at).copied().unwrap_or_default();
        Fault::unreadable(format!(
            "byte {at} of the pickle ({op:#04x}) makes no sense"
        ))
    }

    fn take(&mut self, count: usize) -> Result<&'p [u8], Fault> {
        let bytes: &'p [u8] = self.bytes;
        let taken = bytes.get(self.at..).and_then(|rest| rest.get(..count));
        let taken = taken.ok_or_else(|| Fault::unreadable("the pickle is cut short"))?;
        self.at += count;
        Ok(taken)
    }

    fn line(&mut self) -> Result<&'p str, Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        // No name and no number is longer.
        let rest = &rest[..rest.len().min(4096)];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| Fault::unreadable("the pickle is cut short"))?;
        let line = self.take(end + 1)?;
        std::str::from_utf8(&line[..end])
            .map_err(|_| Fault::unreadable("a name in the pickle is no text"))
    }

    /// A length of up to eight bytes.
    fn length(&mut self, bytes: usize) -> Result<usize, Fault> {
        let mut number = [0; 8];
        number[..bytes].copy_from_slice(self.take(bytes)?);
        usize::try_from(u64::from_le_bytes(number))
            .map_err(|_| Fault::unreadable("a length in the pickle is no length"))
    }

    fn push(&mut self, value: Value) {
        // A pickle makes less than a value for each of its bytes, and is a part of one file.
        self.stack.push(self.values.len() as Ref);
        self.values.push(value);
    }

    fn empty(&self) -> Fault {
        Fault::unreadable(format!(
            "the pickle takes what is not there, before byte {}",
            self.at
        ))
    }

    fn top(&self) -> Result<Ref, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let above = self.stack.get(floor..).unwrap_or_default();
        above.last().copied().ok_or_else(|| self.empty())
    }

    fn pop(&mut self) -> Result<Ref, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn popped_to_mark(&mut self) -> Result<Vec<Ref>, Fault> {
        let mark = self.marks.pop().ok_or_else(|| self.empty())?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn number(&mut self, op: u8) -> Result<(), Fault> {
        let no_number = || Fault::unreadable("a number in the pickle is none");
        let value = match op {
            b'K' => Value::Int(i64::from(self.take(1)?[0])),
            b'M' => Value::Int(self.length(2)? as i64),
            b'J' => Value::Int(i64::from(self.length(4)? as u32 as i32)),
            b'G' => {
                let bytes = self.take(8)?.first_chunk().ok_or_else(no_number)?;
                Value::Float(f64::from_be_bytes(*bytes))
            }
            b'I' | b'L' => match self.line()?.trim_end_matches('L') {
                "01" if op == b'I' => Value::Bool(true),
                "00" if op == b'I' => Value::Bool(false),
                digits => Value::Int(digits.parse().map_err(|_| no_number())?),
            },
            _ => {
                let count = self.length(1)?;
                let bytes = self.take(count)?;
                Value::Int(long(bytes))
            }
        };
        self.push(value);
        Ok(())
    }

    fn text(&mut self, op: u8) -> Result<(), Fault> {
        let count = match op {
            0x8c | b'U' | b'C' => self.length(1)?,
            b'X' | b'T' | b'B' => self.length(4)?,
            _ => self.length(8)?,
        };
        let bytes = self.take(count)?;
        let is_bytes = matches!(op, b'C' | b'B' | 0x8e);
        self.push(match std::str::from_utf8(bytes) {
            Ok(text) if !is_bytes => Value::Text(text.to_owned()),
            _ => Value::Bytes(bytes.to_vec()),
        });
        Ok(())
    }

    fn tuple(&mut self, op: u8) -> Result<(), Fault> {
        let items = match op {
            b't' => self.popped_to_mark()?,
            b')' => Vec::new(),
            _ => {
                let count = usize::from(op - 0x84);
                let mut items = (0..count)
                    .map(|_| self.pop())
                    .collect::<Result<Vec<_>, _>>()?;
                items.reverse();
                items
            }
        };
        self.push(Value::Tuple(items));
        Ok(())
    }

    /// Puts values into the list or the dict below them.
    fn fill(&mut self, op: u8) -> Result<(), Fault> {
        let at = self.at - 1;
        let items = match op {
            b'e' | b'u' => self.popped_to_mark()?,
            b'a' => vec![self.pop()?],
            _ => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
        };
        let into = self.top()?;
        let more = pairs(&items);
        match (op, &mut self.values[into as usize], more) {
            (b'a' | b'e', Value::List(list), _) => list.extend(items),
            (b's' | b'u', Value::Dict(dict), Some(more)) => dict.extend(more),
            _ => return Err(self.nonsense(at)),
        }
        Ok(())
    }

    fn remember(&mut self, op: u8) -> Result<(), Fault> {
        let at = self.at - 1;
        let place = match op {
            b'q' | b'h' => self.length(1)?,
            b'r' | b'j' => self.length(4)?,
            _ => self.memo.len(),
        };
        if matches!(op, b'h' | b'j') {
            let found = self.memo.get(place).copied().flatten();
            self.stack.push(found.ok_or_else(|| self.nonsense(at))?);
            return Ok(());
        }
        // Places are given out one by one.
        if place > self.at {
            return Err(self.nonsense(at));
        }
        if place >= self.memo.len() {
            self.memo.resize(place + 1, None);
        }
        self.memo[place] = Some(self.top()?);
        Ok(())
    }

    fn global(&mut self, op: u8) -> Result<(), Fault> {
        let global = if op == b'c' {
            let module = self.line()?;
            Global::find(module, self.line()?)?
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let text = |value: Ref| match &self.values[value as usize] {
                Value::Text(text) => Ok(&text[..]),
                _ => Err(Fault::unreadable("a name in the pickle is no text")),
            };
            Global::find(text(module)?, text(name)?)?
        };
        self.push(Value::Global(global));
        Ok(())
    }

    /// Notes what was called with what; an ordered dict is a dict.
    fn call(&mut self) -> Result<(), Fault> {
        let at = self.at - 1;
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Global(global), Value::Tuple(items)) = (
            &self.values[function as usize],
            &self.values[arguments as usize],
        ) else {
            return Err(self.nonsense(at));
        };
        let value = match global {
            Global::OrderedDict => Value::Dict(self.items_of(items)),
            Global::Storage(_) => return Err(self.nonsense(at)),
            _ => Value::Call(*global, arguments),
        };
        if let Value::Dict(pairs) = &value {
            self.copied += pairs.len();
        }
        self.push(value);
        Ok(())
    }

    /// What an ordered dict of old pickles is made from: a list of pairs.
    fn items_of(&self, arguments: &[Ref]) -> Vec<(Ref, Ref)> {
        let pair = |item: &Ref| match &self.values[*item as usize] {
            Value::Tuple(pair) | Value::List(pair) => match pair[..] {
                [key, value] => Some((key, value)),
                _ => None,
            },
            _ => None,
        };
        match arguments.first().map(|list| &self.values[*list as usize]) {
            Some(Value::List(items) | Value::Tuple(items)) => {
                items.iter().filter_map(pair).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn pairs(items: &[Ref]) -> Option<Vec<(Ref, Ref)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[key, value]| (*key, *value)).collect())
}

/// Two's complement, the lowest byte first. A number that is too large for any use here is the
/// largest one.
fn long(bytes: &[u8]) -> i64 {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let filling = if negative { 0xff } else { 0 };
    let mut number = [filling; 8];
    for (to, from) in number.iter_mut().zip(bytes) {
        *to = *from;
    }
    if bytes.len() > 8 {
        i64::MAX
    } else {
        i64::from_le_bytes(number)
    }
}
