//! The names of fields and files: `normalize_protected_variable`, `php_ap_basename`, and the rules of `rfc1867_post_handler`.

use memchr::{memchr, memrchr2};

/// A name as PHP registers it: without spaces before it and before indices, with underscores for spaces and dots.
pub fn normalize(name: &mut Vec<u8>) {
    let spaces = name.iter().take_while(|&&byte| byte == b' ').count();
    name.drain(..spaces);
    let Some(bracket) = memchr(b'[', name) else {
        name.iter_mut().for_each(underscore);
        return;
    };
    name.iter_mut().take(bracket).for_each(underscore);
    let mut to = bracket + 1;
    let mut from = to;
    loop {
        from += name.iter().skip(from).take_while(|byte| matches!(byte, b' ' | b'\r' | b'\n' | b'\t')).count();
        let length = name.get(from..).map_or(0, |index| memchr(b']', index).map_or(index.len(), |end| end + 1));
        name.drain(to..from);
        to += length;
        if name.get(to) != Some(&b'[') {
            break;
        }
        to += 1;
        from = to;
    }
    name.truncate(to);
}

fn underscore(byte: &mut u8) {
    if matches!(byte, b' ' | b'.') {
        *byte = b'_';
    }
}

/// Whether a file may have that name: its brackets are in order.
#[must_use]
pub fn brackets_match(name: &[u8]) -> bool {
    let mut open = 0i64;
    for (at, byte) in name.iter().enumerate() {
        match byte {
            b'[' => open += 1,
            b']' => {
                open -= 1;
                if name.get(at + 1).is_some_and(|&next| next != b'[') {
                    return false;
                }
            }
            _ => {}
        }
        if open < 0 {
            return false;
        }
    }
    open == 0
}

/// The name of a file without the path before it.
#[must_use]
pub fn base(file: &[u8]) -> &[u8] {
    let start = memrchr2(b'\\', b'/', file).map_or(0, |slash| slash + 1);
    file.get(start..).unwrap_or_default()
}

/// The name of a field of a file in `$_FILES`. A name `a[b]` is `a` and `b`, and its field `size` is `a[size][b]`.
#[derive(Debug)]
pub struct FileName {
    name: Vec<u8>,
    index: Option<Vec<u8>>,
}

impl FileName {
    /// Takes a name apart.
    #[must_use]
    pub fn new(name: &[u8]) -> Self {
        match (memchr(b'[', name), name) {
            (Some(bracket), [.., b']']) => Self {
                name: name.get(..bracket).unwrap_or_default().to_vec(),
                index: Some(name.get(bracket + 1..name.len() - 1).unwrap_or_default().to_vec()),
            },
            _ => Self { name: name.to_vec(), index: None },
        }
    }

    /// Replaces the name of one without an index.
    pub fn rename(&mut self, name: &[u8]) {
        if self.index.is_none() {
            self.name = name.to_vec();
        }
    }

    /// The name of a field.
    #[must_use]
    pub fn field(&self, field: &[u8]) -> Vec<u8> {
        let mut whole = [&self.name, &b"["[..], field, b"]"].concat();
        if let Some(index) = &self.index {
            whole.extend([&b"["[..], index, b"]"].concat());
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::{FileName, base, brackets_match, normalize};

    #[test]
    fn normalized() {
        let cases: [(&str, &str); 13] = [
            ("a", "a"),
            ("  a.b c", "a_b_c"),
            ("a[ b]", "a[b]"),
            ("a.b[ c.d ][ e ]x", "a_b[c.d ][e ]"),
            ("a[b", "a[b"),
            ("a[ \t\r\nb", "a[b"),
            ("a[b]c[d]", "a[b]"),
            ("a[][ ]", "a[][]"),
            ("[", "["),
            ("", ""),
            ("a[", "a["),
            ("a[ ", "a["),
            ("a[x][", "a[x]["),
        ];
        for (from, to) in cases {
            let mut name = from.as_bytes().to_vec();
            normalize(&mut name);
            assert_eq!(String::from_utf8_lossy(&name), to, "{from:?}");
        }
    }

    #[test]
    fn of_files() {
        for (name, good) in
            [("a[b][c]", true), ("a[", false), ("a]", false), ("a[b]c", false), ("a[[b]]", false), ("a", true)]
        {
            assert_eq!(brackets_match(name.as_bytes()), good, "{name}");
        }
        for (file, name) in [("a", "a"), ("/a/b", "b"), ("C:\\a\\b", "b"), ("a/b\\c", "c"), ("a\\b/c", "c"), ("a/", "")]
        {
            assert_eq!(base(file.as_bytes()), name.as_bytes());
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(text(FileName::new(b"a").field(b"size")), "a[size]");
        assert_eq!(text(FileName::new(b"a[b][]").field(b"size")), "a[size][b][]");
    }
}
