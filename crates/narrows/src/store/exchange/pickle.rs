//! Python's pickles, as far as saved tensors need them, without running any code.
//!
//! A pickle is a program for a stack machine. What `torch.save` makes of tensors needs numbers, text,
//! tuples, lists, dictionaries, references to storages, and the calls in [`CALLS`], of which only the
//! arguments are kept. Every other instruction, and every other name, is refused: a pickle can name any
//! function of any module, which Python would then call.
//!
//! Objects lie in one list and refer to each other by place, so that an object which holds itself, or a
//! nesting as deep as the file is long, costs nothing.
//!
//! Source: CPython, `Lib/pickletools.py`; PyTorch, `torch/_weights_only_unpickler.py`.

use std::collections::HashMap;

use crate::data::tensors::Kind;

/// The functions whose calls are understood.
const CALLS: [&str; 4] = [
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    "torch.Size",
];

/// The place of an object.
pub(super) type Place = usize;

/// What a pickle holds.
#[derive(Debug, Clone)]
pub(super) enum Object {
    None,
    /// Truth values too, as in Python.
    Integer(i64),
    Number(f64),
    Text(String),
    /// Tuples and lists.
    Sequence(Vec<Place>),
    /// Keys and values, in the order in which they were set.
    Mapping(Vec<(Place, Place)>),
    /// The name of a function or class.
    Global(String),
    /// Numbers in a file of their own.
    Storage {
        kind: Kind,
        key: String,
        length: usize,
    },
    /// A part of a storage, in numbers.
    Tensor {
        storage: Place,
        offset: usize,
        shape: Vec<usize>,
        strides: Vec<usize>,
    },
}

/// What a pickle holds, and the place of its outermost object.
#[derive(Debug)]
pub(super) struct Pickle {
    objects: Vec<Object>,
    root: Place,
}

impl Pickle {
    /// Reads a pickle; the error says what is wrong.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut machine = Machine { bytes, ..Machine::default() };
        let root = machine.run()?;
        Ok(Self { objects: machine.objects, root })
    }

    pub(super) fn root(&self) -> Place {
        self.root
    }

    pub(super) fn get(&self, place: Place) -> &Object {
        &self.objects[place]
    }

    /// Entries of a mapping whose keys are text.
    pub(super) fn entries(&self, place: Place) -> impl Iterator<Item = (&str, Place)> {
        let pairs = match self.get(place) {
            Object::Mapping(pairs) => pairs.as_slice(),
            _ => &[],
        };
        pairs.iter().filter_map(|(key, value)| match self.get(*key) {
            Object::Text(key) => Some((key.as_str(), *value)),
            _ => None,
        })
    }

    /// The last value of a key of a mapping.
    pub(super) fn entry(&self, place: Place, key: &str) -> Option<Place> {
        self.entries(place).filter(|(found, _)| *found == key).map(|(_, value)| value).last()
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    objects: Vec<Object>,
    stack: Vec<Place>,
    /// Heights of the stack that were marked.
    marks: Vec<usize>,
    memo: HashMap<u64, Place>,
}

type Step<T = ()> = Result<T, String>;

impl<'a> Machine<'a> {
    fn run(&mut self) -> Step<Place> {
        loop {
            let instruction = self.take(1)?[0];
            if instruction == b'.' {
                return self.pop();
            }
            self.step(instruction)?;
        }
    }

    fn step(&mut self, instruction: u8) -> Step {
        match instruction {
            0x80 => self.check_protocol(),
            0x95 => self.take(8).map(|_| ()),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(|_| ()),
            b'N' => self.push(Object::None),
            0x88 => self.push(Object::Integer(1)),
            0x89 => self.push(Object::Integer(0)),
            b'J' => self.integer(4, true),
            b'K' => self.integer(1, false),
            b'M' => self.integer(2, false),
            0x8a => self.long(),
            b'G' => {
                let bytes = self.array()?;
                self.push(Object::Number(f64::from_be_bytes(bytes)))
            }
            b'X' => self.text(4),
            0x8c => self.text(1),
            b')' => self.push(Object::Sequence(Vec::new())),
            b']' => self.push(Object::Sequence(Vec::new())),
            b'}' => self.push(Object::Mapping(Vec::new())),
            0x85..=0x87 => self.tuple(usize::from(instruction - 0x84)),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Object::Sequence(items))
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(&items)
            }
            b'q' => self.put(1),
            b'r' => self.put(4),
            0x94 => {
                let place = self.top()?;
                self.memo.insert(self.memo.len() as u64, place);
                Ok(())
            }
            b'h' => self.recall(1),
            b'j' => self.recall(4),
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&format!("{module}.{name}"))
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.global(&format!("{module}.{name}"))
            }
            b'Q' => self.storage(),
            b'R' => self.call(),
            b'b' => self.build(),
            other => {
                Err(format!("the instruction 0x{other:02x} at byte {} is not allowed", self.at - 1))
            }
        }
    }

    fn check_protocol(&mut self) -> Step {
        match self.take(1)?[0] {
            2..=5 => Ok(()),
            other => Err(format!("protocol {other} of pickle is not known")),
        }
    }

    fn take(&mut self, count: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("the pickle is cut off")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const SIZE: usize>(&mut self) -> Step<[u8; SIZE]> {
        self.take(SIZE)?.try_into().map_err(|_| "the pickle is cut off".to_owned())
    }

    /// A little-endian number of up to 8 bytes.
    fn unsigned(&mut self, size: usize) -> Step<u64> {
        let bytes = self.take(size)?;
        Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn integer(&mut self, size: usize, signed: bool) -> Step {
        let number = self.unsigned(size)? as i64;
        self.push(Object::Integer(if signed { i64::from(number as i32) } else { number }))
    }

    fn long(&mut self) -> Step {
        let size = usize::from(self.take(1)?[0]);
        if size > 8 {
            return Err("a number of more than 64 bits".to_owned());
        }
        let number = self.unsigned(size)?;
        let unused = 64 - 8 * size as u32;
        let number = if size == 0 { 0 } else { (number << unused) as i64 >> unused };
        self.push(Object::Integer(number))
    }

    fn text(&mut self, size: usize) -> Step {
        let length = usize::try_from(self.unsigned(size)?).unwrap_or(usize::MAX);
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| "text that is not UTF-8")?;
        self.push(Object::Text(text.to_owned()))
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or("the pickle is cut off")?;
        let line = self.take(length + 1)?;
        std::str::from_utf8(&line[..length]).map_err(|_| "a name that is not UTF-8".to_owned())
    }

    fn push(&mut self, object: Object) -> Step {
        self.stack.push(self.objects.len());
        self.objects.push(object);
        Ok(())
    }

    /// Nothing below the last mark may be taken.
    fn pop(&mut self) -> Step<Place> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("an instruction finds nothing on the stack".to_owned());
        }
        self.stack.pop().ok_or_else(|| "the stack is empty".to_owned())
    }

    fn pop_text(&mut self) -> Step<String> {
        let place = self.pop()?;
        match &self.objects[place] {
            Object::Text(text) => Ok(text.clone()),
            _ => Err("a name that is not text".to_owned()),
        }
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Place>> {
        let mark = self.marks.pop().ok_or("an instruction finds no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Step<Place> {
        self.stack.last().copied().ok_or_else(|| "the stack is empty".to_owned())
    }

    fn tuple(&mut self, count: usize) -> Step {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Object::Sequence(items))
    }

    fn append(&mut self, items: Vec<Place>) -> Step {
        let list = self.top()?;
        match &mut self.objects[list] {
            Object::Sequence(list) => {
                list.extend(items);
                Ok(())
            }
            _ => Err("items for what is no list".to_owned()),
        }
    }

    fn set(&mut self, items: &[Place]) -> Step {
        let mapping = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match &mut self.objects[mapping] {
            Object::Mapping(mapping) if rest.is_empty() => {
                mapping.extend(pairs.iter().map(|[key, value]| (*key, *value)));
                Ok(())
            }
            _ => Err("entries for what is no dictionary".to_owned()),
        }
    }

    fn put(&mut self, size: usize) -> Step {
        let (key, place) = (self.unsigned(size)?, self.top()?);
        self.memo.insert(key, place);
        Ok(())
    }

    fn recall(&mut self, size: usize) -> Step {
        let key = self.unsigned(size)?;
        let place = *self.memo.get(&key).ok_or("a reference to nothing")?;
        self.stack.push(place);
        Ok(())
    }

    fn global(&mut self, name: &str) -> Step {
        if CALLS.contains(&name) || kind_of_storage(name).is_some() {
            return self.push(Object::Global(name.to_owned()));
        }
        Err(format!("it names '{name}', which is not part of saved tensors and is not run"))
    }

    /// A reference to a storage: `("storage", class, key, device, length)`.
    fn storage(&mut self) -> Step {
        let place = self.pop()?;
        let Object::Sequence(items) = &self.objects[place] else {
            return Err("a reference that is not understood".to_owned());
        };
        let objects: Vec<&Object> = items.iter().map(|item| &self.objects[*item]).collect();
        let [
            Object::Text(tag),
            Object::Global(class),
            Object::Text(key),
            _,
            Object::Integer(length),
        ] = objects[..]
        else {
            return Err("a reference that is not understood".to_owned());
        };
        match (kind_of_storage(class), usize::try_from(*length)) {
            (Some(kind), Ok(length)) if tag == "storage" => {
                let key = key.clone();
                self.push(Object::Storage { kind, key, length })
            }
            _ => Err("a reference that is not understood".to_owned()),
        }
    }

    fn call(&mut self) -> Step {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Object::Global(name) = &self.objects[function] else {
            return Err("a call of what is no function".to_owned());
        };
        let Object::Sequence(arguments) = &self.objects[arguments] else {
            return Err("a call without arguments".to_owned());
        };
        let made = match (name.as_str(), &arguments[..]) {
            ("collections.OrderedDict", []) => Object::Mapping(Vec::new()),
            ("torch.Size", [sizes]) => self.objects[*sizes].clone(),
            ("torch._utils._rebuild_parameter", [tensor, ..]) => self.objects[*tensor].clone(),
            ("torch._utils._rebuild_tensor_v2", [storage, offset, shape, strides, ..]) => {
                Object::Tensor {
                    storage: *storage,
                    offset: self.size(*offset)?,
                    shape: self.sizes(*shape)?,
                    strides: self.sizes(*strides)?,
                }
            }
            _ => return Err(format!("a call of '{name}' that is not understood")),
        };
        self.push(made)
    }

    fn size(&self, place: Place) -> Step<usize> {
        match self.objects[place] {
            Object::Integer(size) => usize::try_from(size).map_err(|_| format!("the size {size}")),
            _ => Err("a size that is no whole number".to_owned()),
        }
    }

    fn sizes(&self, place: Place) -> Step<Vec<usize>> {
        match &self.objects[place] {
            Object::Sequence(sizes) => sizes.iter().map(|size| self.size(*size)).collect(),
            _ => Err("a shape that is no tuple".to_owned()),
        }
    }

    /// Attributes of an object, such as `_metadata` of a state: of no use here.
    fn build(&mut self) -> Step {
        self.pop()?;
        let place = self.top()?;
        match self.objects[place] {
            Object::Mapping(_) | Object::Tensor { .. } => Ok(()),
            _ => Err("attributes for what has none".to_owned()),
        }
    }
}

fn kind_of_storage(class: &str) -> Option<Kind> {
    Some(match class {
        "torch.HalfStorage" => Kind::F16,
        "torch.BFloat16Storage" => Kind::Bf16,
        "torch.FloatStorage" => Kind::F32,
        "torch.DoubleStorage" => Kind::F64,
        "torch.ByteStorage" => Kind::U8,
        "torch.CharStorage" => Kind::I8,
        "torch.ShortStorage" => Kind::I16,
        "torch.IntStorage" => Kind::I32,
        "torch.LongStorage" => Kind::I64,
        "torch.BoolStorage" => Kind::Bool,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        Pickle::read(bytes).expect_err("refused")
    }

    #[test]
    fn a_foreign_function_is_named_and_not_called() {
        // What `pickle.dumps` makes of an object whose `__reduce__` gives `os.system("true")`.
        let hostile = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.";
        let message = refusal(hostile);
        assert!(message.contains("'posix.system'") && message.contains("not run"), "{message}");
        let by_stack = b"\x80\x04\x8c\x05posix\x8c\x06system\x93)R.";
        assert!(refusal(by_stack).contains("'posix.system'"));
    }

    #[test]
    fn other_instructions_are_refused() {
        for instruction in [b'i', b'o', 0x81, 0x92, b'S', b'I', 0x8b, 0x97] {
            let bytes = [0x80, 2, b'}', instruction, 1, 0, 0, 0, b'.'];
            assert!(refusal(&bytes).contains("not allowed"), "{instruction:#x}");
        }
    }

    #[test]
    fn an_object_that_holds_itself_is_read() {
        let pickle = Pickle::read(b"\x80\x02]q\x00h\x00a.").expect("reads");
        let Object::Sequence(items) = pickle.get(pickle.root()) else { panic!("no list") };
        assert_eq!(items[..], [pickle.root()]);
    }

    #[test]
    fn a_call_may_not_reach_below_a_mark() {
        assert!(refusal(b"\x80\x02}(R.").contains("nothing on the stack"));
        assert!(refusal(b"\x80\x02X\xff\xff\xff\xffa.").contains("cut off"));
        assert!(refusal(b"\x80\x02j\x05\x00\x00\x00.").contains("reference to nothing"));
    }

    #[test]
    fn whole_numbers_keep_their_sign() {
        let pickle =
            Pickle::read(b"\x80\x02(J\xfe\xff\xff\xff\x8a\x02\x00\x80\x8a\x00M\xff\xffK\xfft.");
        let pickle = pickle.expect("reads");
        let Object::Sequence(items) = pickle.get(pickle.root()) else { panic!("no tuple") };
        let found: Vec<i64> = items
            .iter()
            .map(|item| match pickle.get(*item) {
                Object::Integer(number) => *number,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, [-2, -32768, 0, 65535, 255]);
    }
}
