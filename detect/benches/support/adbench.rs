//! Files of ADBench (Han et al., NeurIPS 2022): `npz` with the arrays `X` and `y`, and `csv` with the label last.
//!
//! The files come from outside: what is declared is believed only as far as it is there, and every array is bounded.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use anyhow::{Context, bail, ensure};

/// Rows of numbers, and which of them are anomalies.
#[derive(Debug, PartialEq)]
pub(crate) struct Table {
    pub(crate) columns: usize,
    /// Row by row.
    pub(crate) values: Vec<f64>,
    pub(crate) labels: Vec<bool>,
}

/// Numbers of one file: 512 MiB. Of ADBench's files only `census` (150 M) has more.
pub(crate) const MAX_CELLS: usize = 64 << 20;
/// Bytes of the header of an array; NumPy writes some 120.
const MAX_HEADER: usize = 4096;

impl Table {
    /// By the name's ending.
    ///
    /// # Errors
    /// The file cannot be read, is not of its kind, or has more than [`MAX_CELLS`] numbers; file, array, row and column
    /// are named.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let table = match path.extension().and_then(|ending| ending.to_str()) {
            Some("npz") => Self::from_npz(BufReader::new(file)),
            Some("csv") => Self::from_csv(BufReader::new(file)),
            _ => bail!("{}: neither .npz nor .csv", path.display()),
        };
        table.with_context(|| path.display().to_string())
    }

    pub(crate) fn from_npz(file: impl Read + Seek) -> anyhow::Result<Self> {
        let mut archive = zip::ZipArchive::new(file).context("not a zip archive")?;
        let mut array = |name: &str| {
            let entry = archive
                .by_name(&format!("{name}.npy"))
                .with_context(|| format!("no array {name}"))?;
            Array::read(entry).with_context(|| format!("array {name}"))
        };
        let (x, y) = (array("X")?, array("y")?);
        let [rows, columns] = x.shape[..] else {
            bail!("array X: {} dimensions, not 2", x.shape.len());
        };
        ensure!(columns > 0, "array X: no column");
        ensure!(
            matches!(y.shape[..], [count] | [count, 1] if count == rows),
            "array y: shape {:?} does not fit X with {rows} rows",
            y.shape
        );
        let values: Vec<f64> = if x.by_column {
            (0..rows)
                .flat_map(|row| (0..columns).map(move |column| (row, column)))
                .map(|(row, column)| x.values[column * rows + row])
                .collect()
        } else {
            x.values
        };
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            bail!(
                "array X: row {}, column {} is no finite number",
                at / columns,
                at % columns
            );
        }
        let labels = y.values.iter().enumerate();
        let labels = labels.map(|(row, value)| label(*value).with_context(|| format!("array y: row {row}")));
        Ok(Self {
            columns,
            values,
            labels: labels.collect::<anyhow::Result<_>>()?,
        })
    }

    pub(crate) fn from_csv(file: impl Read) -> anyhow::Result<Self> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(file);
        let mut table = Self {
            columns: 0,
            values: Vec::new(),
            labels: Vec::new(),
        };
        let mut record = csv::StringRecord::new();
        let mut line = 0_u64;
        while reader
            .read_record(&mut record)
            .with_context(|| format!("line {}", line + 1))?
        {
            line += 1;
            let number = |column: usize| -> anyhow::Result<f64> {
                let text = record.get(column).unwrap_or_default().trim();
                let value: f64 = text
                    .parse()
                    .ok()
                    .filter(|value: &f64| value.is_finite())
                    .with_context(|| format!("line {line}, column {}: no finite number", column + 1))?;
                Ok(value)
            };
            let last = record.len().saturating_sub(1);
            if line == 1 {
                ensure!(last > 0, "line 1: no column beside the label");
                table.columns = last;
                if (0..=last).all(|column| number(column).is_err()) {
                    continue;
                }
            }
            ensure!(
                table.values.len() + last <= MAX_CELLS,
                "line {line}: more than {MAX_CELLS} numbers"
            );
            for column in 0..last {
                table.values.push(number(column)?);
            }
            table
                .labels
                .push(label(number(last)?).with_context(|| format!("line {line}"))?);
        }
        ensure!(!table.labels.is_empty(), "no row");
        Ok(table)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f64]> + Clone {
        self.values.chunks_exact(self.columns)
    }
}

fn label(value: f64) -> anyhow::Result<bool> {
    match value {
        0.0 => Ok(false),
        1.0 => Ok(true),
        other => bail!("label {other} is neither 0 nor 1"),
    }
}

/// An array in NumPy's format, versions 1 to 3.
struct Array {
    shape: Vec<usize>,
    by_column: bool,
    values: Vec<f64>,
}

impl Array {
    fn read(mut file: impl Read) -> anyhow::Result<Self> {
        let mut start = [0; 8];
        file.read_exact(&mut start).context("shorter than its magic")?;
        ensure!(start[..6] == *b"\x93NUMPY", "no NumPy array");
        let length = match start[6] {
            1 => {
                let mut length = [0; 2];
                file.read_exact(&mut length).context("no header")?;
                usize::from(u16::from_le_bytes(length))
            }
            2 | 3 => {
                let mut length = [0; 4];
                file.read_exact(&mut length).context("no header")?;
                u32::from_le_bytes(length) as usize
            }
            version => bail!("version {version} of the format is not known"),
        };
        ensure!(length <= MAX_HEADER, "a header of {length} bytes");
        let mut header = vec![0; length];
        file.read_exact(&mut header).context("the header is cut")?;
        let header = String::from_utf8(header).context("the header is no text")?;
        let kind = field(&header, "descr")?;
        let kind = kind
            .strip_prefix(['\'', '"'])
            .and_then(|kind| kind.split(['\'', '"']).next())
            .context("header: descr is no simple type")?;
        let number = number_of(kind).with_context(|| format!("header: type {kind} is not known"))?;
        let by_column = match field(&header, "fortran_order")? {
            order if order.starts_with("True") => true,
            order if order.starts_with("False") => false,
            _ => bail!("header: fortran_order is neither True nor False"),
        };
        let shape = field(&header, "shape")?;
        let shape = shape
            .strip_prefix('(')
            .and_then(|shape| shape.split_once(')'))
            .context("header: shape is no tuple")?
            .0;
        let shape = shape.split(',').map(str::trim).filter(|part| !part.is_empty());
        let shape: Vec<usize> = shape
            .map(|part| part.parse().with_context(|| format!("header: shape {part}")))
            .collect::<anyhow::Result<_>>()?;
        let count = shape
            .iter()
            .try_fold(1_usize, |product, side| product.checked_mul(*side))
            .filter(|count| *count <= MAX_CELLS)
            .with_context(|| format!("shape {shape:?}: more than {MAX_CELLS} numbers"))?;
        let mut values = Vec::new();
        // Memory grows with what is there, not with what is declared.
        let mut part = vec![0; number.bytes * 8_192];
        while values.len() < count {
            let wanted = (count - values.len()).min(8_192) * number.bytes;
            file.read_exact(&mut part[..wanted])
                .with_context(|| format!("fewer than {count} numbers"))?;
            values.extend(part[..wanted].chunks_exact(number.bytes).map(number.read));
        }
        Ok(Self {
            shape,
            by_column,
            values,
        })
    }
}

/// What stands behind a name in the header, a Python dictionary.
fn field<'a>(header: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let after = header
        .split_once(&format!("'{name}'"))
        .and_then(|(_, after)| after.trim_start().strip_prefix(':'))
        .with_context(|| format!("header: no {name}"))?;
    Ok(after.trim_start())
}

struct Number {
    bytes: usize,
    read: fn(&[u8]) -> f64,
}

/// Little-endian types that ADBench's files have.
fn number_of(kind: &str) -> Option<Number> {
    fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.try_into().unwrap_or([0; N])
    }
    let (bytes, read): (usize, fn(&[u8]) -> f64) = match kind {
        "<f8" => (8, |bytes| f64::from_le_bytes(fixed(bytes))),
        "<f4" => (4, |bytes| f32::from_le_bytes(fixed(bytes)).into()),
        "<i8" => (8, |bytes| i64::from_le_bytes(fixed(bytes)) as f64),
        "<u8" => (8, |bytes| u64::from_le_bytes(fixed(bytes)) as f64),
        "<i4" => (4, |bytes| i32::from_le_bytes(fixed(bytes)).into()),
        "<u4" => (4, |bytes| u32::from_le_bytes(fixed(bytes)).into()),
        "<i2" => (2, |bytes| i16::from_le_bytes(fixed(bytes)).into()),
        "<u2" => (2, |bytes| u16::from_le_bytes(fixed(bytes)).into()),
        "|i1" => (1, |bytes| i8::from_le_bytes(fixed(bytes)).into()),
        "|u1" | "|b1" => (1, |bytes| u8::from_le_bytes(fixed(bytes)).into()),
        _ => return None,
    };
    Some(Number { bytes, read })
}
