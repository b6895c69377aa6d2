//! Rows on their way: whole ones in pieces, as PostgreSQL writes and reads them in bulk ("Binary
//! Format" in the documentation of its COPY). A row is the number of its columns in 2 bytes, and
//! for each its length in 4 and its bytes; -1 is the length of what is null.

use std::mem;

/// What a stream of rows begins with: the signature, no flags, no extension.
pub(crate) const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
pub(crate) const TRAILER: &[u8; 2] = b"\xff\xff";
/// Bytes from which on a piece goes its way.
const FULL: usize = 64 * 1024;
/// Pieces that may wait for whoever takes them.
pub(crate) const WAITING: usize = 8;

/// Some rows.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) rows: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Piece {
    /// Begins a row of `columns` columns.
    pub(crate) fn begin_row(&mut self, columns: usize) {
        self.rows += 1;
        self.bytes.extend_from_slice(&u16::try_from(columns).unwrap_or(u16::MAX).to_be_bytes());
    }

    /// Adds a column to the row that was begun.
    pub(crate) fn add(&mut self, column: Option<&[u8]>) {
        let length = column.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(column.unwrap_or_default());
    }

    /// Gives what there is of it, if that is enough to go its way.
    pub(crate) fn take_if_full(&mut self) -> Option<Self> {
        (self.bytes.len() >= FULL).then(|| mem::take(self))
    }

    /// Its rows, column by column.
    pub(crate) fn columns(&self) -> Columns<'_> {
        Columns(&self.bytes)
    }
}

/// What is left to read of rows. Every step gives `None` where there is no more, or only a part of
/// it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a>(&'a [u8]);

impl<'a> Columns<'a> {
    /// Begins the next row, and gives how many columns it has; -1 is the end of a stream.
    pub(crate) fn begin_row(&mut self) -> Option<i16> {
        let (columns, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i16::from_be_bytes(*columns))
    }

    /// The next column of the row.
    pub(crate) fn next(&mut self) -> Option<Option<&'a [u8]>> {
        let (length, rest) = self.0.split_first_chunk()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            self.0 = rest;
            return Some(None);
        };
        let (column, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(column))
    }

    /// Goes behind the next row; `None` where it is not there as a whole.
    fn skip_row(&mut self) -> Option<()> {
        let columns = u16::try_from(self.begin_row()?).ok()?;
        (0..columns).try_for_each(|_| self.next().map(drop))
    }
}

/// Cuts a stream of rows into pieces, however it comes.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    /// Whether the header was cut off.
    begun: bool,
    /// Whole rows.
    whole: Piece,
    /// What follows them.
    rest: Vec<u8>,
}

impl Cutter {
    /// Takes the next bytes of the stream; gives a piece where enough have come.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Option<Piece> {
        self.rest.extend_from_slice(bytes);
        if !self.begun {
            if self.rest.len() < HEADER.len() {
                return None;
            }
            self.rest.drain(..HEADER.len());
            self.begun = true;
        }
        let mut columns = Columns(&self.rest);
        let mut cut = 0;
        while columns.skip_row().is_some() {
            self.whole.rows += 1;
            cut = self.rest.len() - columns.0.len();
        }
        self.whole.bytes.extend(self.rest.drain(..cut));
        self.whole.take_if_full()
    }

    /// What came last. `None` where the stream did not end as it should.
    pub(crate) fn end(self) -> Option<Piece> {
        (self.begun && self.rest == TRAILER).then_some(self.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> (Vec<u8>, Piece) {
        let mut piece = Piece::default();
        for n in 0..3_u8 {
            piece.begin_row(2);
            piece.add(Some(&[n; 3]));
            piece.add((n != 1).then_some(b"".as_slice()));
        }
        ([HEADER.as_slice(), &piece.bytes, TRAILER].concat(), piece)
    }

    #[test]
    fn rows_are_whole_however_they_come() {
        let (stream, whole) = stream();
        for size in 1..=stream.len() {
            let mut cutter = Cutter::default();
            for bytes in stream.chunks(size) {
                assert!(cutter.add(bytes).is_none());
            }
            let piece = cutter.end().unwrap();
            assert_eq!((piece.rows, &piece.bytes), (3, &whole.bytes), "in {size}s");
        }
        let mut columns = whole.columns();
        for n in 0..3_u8 {
            assert_eq!(columns.begin_row(), Some(2));
            assert_eq!(columns.next(), Some(Some([n; 3].as_slice())));
            assert_eq!(columns.next(), Some((n != 1).then_some(b"".as_slice())));
        }
        assert_eq!(columns.begin_row(), None);
    }

    #[test]
    fn what_ends_too_soon_is_no_stream() {
        let (stream, _) = stream();
        for length in 0..stream.len() {
            let mut cutter = Cutter::default();
            cutter.add(&stream[..length]);
            assert!(cutter.end().is_none(), "{length} bytes");
        }
    }

    #[test]
    fn much_goes_in_many_pieces() {
        let mut row = Piece::default();
        row.begin_row(1);
        row.add(Some(&[7; 1000]));
        let mut cutter = Cutter::default();
        cutter.add(HEADER);
        let pieces: Vec<_> = (0..200).filter_map(|_| cutter.add(&row.bytes)).collect();
        cutter.add(TRAILER);
        let rows: u64 = pieces.iter().map(|piece| piece.rows).sum();
        assert!(pieces.len() > 2 && rows < 200);
        assert_eq!(rows + cutter.end().unwrap().rows, 200);
    }
}
