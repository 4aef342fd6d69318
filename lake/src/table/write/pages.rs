//! What a column was encoded to, until its file is put together.

use bytes::Bytes;
use parquet::arrow::arrow_writer::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use parquet::errors::{ParquetError, Result};

/// Keeps pages in as much memory as they take. As they come, a page is the beginning of memory that would do for what it was
/// before it was compressed.
#[derive(Debug)]
pub(super) struct Pages;

impl PageStoreFactory for Pages {
    fn create(&self, _args: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        Ok(Box::new(OfColumn::default()))
    }
}

/// The pages of one column chunk.
#[derive(Default)]
struct OfColumn {
    pages: Vec<Bytes>,
    bytes: usize,
}

impl PageStore for OfColumn {
    fn put(&mut self, value: Bytes) -> Result<PageKey> {
        self.bytes += value.len();
        self.pages.push(Bytes::copy_from_slice(&value));
        Ok(PageKey::new(self.pages.len() as u64 - 1))
    }

    fn take(&mut self, key: PageKey) -> Result<Bytes> {
        let page = usize::try_from(key.get()).ok().and_then(|page| self.pages.get_mut(page)).map(std::mem::take);
        let page = page.ok_or_else(|| ParquetError::General(format!("no page {}", key.get())))?;
        self.bytes -= page.len();
        Ok(page)
    }

    fn memory_size(&self) -> usize {
        self.bytes
    }
}
