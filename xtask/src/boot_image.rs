//! Writes boot images in the format of [`motte_abi::boot_image`].
//!
//! Files added from the same allocation share their bytes: the many names of the tools cost one table entry each.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use motte_abi::PAGE_SIZE;
use motte_abi::boot_image::{ENTRY_BYTES, HEADER_BYTES, MAGIC, NAME_BYTES};

/// The files of a boot image being made.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    files: Vec<(String, Arc<[u8]>)>,
}

impl Builder {
    /// An image without files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file. A name is used once, and has at most [`NAME_BYTES`] bytes.
    pub fn add(&mut self, name: &str, contents: impl Into<Arc<[u8]>>) -> Result<()> {
        if name.is_empty() || name.len() > NAME_BYTES {
            bail!("the boot image's file name `{name}` is not of 1 to {NAME_BYTES} bytes");
        }
        if self.files.iter().any(|(other, _)| other == name) {
            bail!("the boot image would hold two files `{name}`");
        }
        self.files.push((name.to_owned(), contents.into()));
        Ok(())
    }

    /// The image.
    #[must_use]
    pub fn finish(&self) -> Vec<u8> {
        let mut image = vec![0; HEADER_BYTES + self.files.len() * ENTRY_BYTES];
        let mut places: HashMap<*const u8, usize> = HashMap::new();
        for (index, (name, contents)) in self.files.iter().enumerate() {
            let offset = *places.entry(contents.as_ptr()).or_insert_with(|| {
                image.resize(image.len().next_multiple_of(PAGE_SIZE), 0);
                let offset = image.len();
                image.extend_from_slice(contents);
                offset
            });
            let entry = HEADER_BYTES + index * ENTRY_BYTES;
            image[entry..entry + name.len()].copy_from_slice(name.as_bytes());
            put(&mut image, entry + NAME_BYTES, offset);
            put(&mut image, entry + NAME_BYTES + 8, contents.len());
        }
        image.resize(image.len().next_multiple_of(PAGE_SIZE), 0);
        image[..8].copy_from_slice(&MAGIC);
        put(&mut image, 8, self.files.len());
        let total = image.len();
        put(&mut image, 16, total);
        image
    }
}

fn put(image: &mut [u8], at: usize, value: usize) {
    image[at..at + 8].copy_from_slice(&(value as u64).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use motte_abi::boot_image::BootImage;

    #[test]
    fn an_image_gives_back_what_was_put_in() {
        let mut builder = Builder::new();
        builder.add("init", vec![1; 5000]).unwrap();
        builder.add("manifest", b"stanza".to_vec()).unwrap();
        builder.add("empty", Vec::new()).unwrap();
        let bytes = builder.finish();
        let image = BootImage::parse(&bytes).ok().unwrap();
        assert_eq!(image.files().count(), 3);
        assert_eq!(image.file("init").unwrap().data, [1; 5000]);
        assert_eq!(image.file("manifest").unwrap().data, b"stanza");
        assert_eq!(image.file("empty").unwrap().data, b"");
        assert!(image.file("absent").is_none());
    }

    #[test]
    fn files_of_the_same_allocation_share_their_bytes() {
        let mut builder = Builder::new();
        let tools: Arc<[u8]> = vec![7; 9000].into();
        builder.add("bin/tools", tools.clone()).unwrap();
        builder.add("bin/ls", tools).unwrap();
        let bytes = builder.finish();
        let image = BootImage::parse(&bytes).ok().unwrap();
        assert_eq!(image.file("bin/ls").unwrap().offset, image.file("bin/tools").unwrap().offset);
        assert_eq!(bytes.len(), 4 * PAGE_SIZE);
    }

    #[test]
    fn a_name_that_is_taken_or_too_long_is_refused() {
        let mut builder = Builder::new();
        builder.add("init", Vec::new()).unwrap();
        assert!(builder.add("init", Vec::new()).is_err());
        assert!(builder.add(&"x".repeat(NAME_BYTES + 1), Vec::new()).is_err());
        builder.add(&"x".repeat(NAME_BYTES), Vec::new()).unwrap();
    }
}
