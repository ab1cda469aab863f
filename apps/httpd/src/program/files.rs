//! The folder, through the file system service. As a component the server sees nothing else of the files (`root` in the manifest).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use motte::fs::{self, File, Metadata};
use motte::io::{Error, ErrorKind, Read, Seek, SeekFrom};
use motte_httpd::folder::{Entry, Folder, FolderError, Info};

/// The folder.
pub struct Files {
    folder: String,
}

impl Files {
    /// A folder, without a slash at its end.
    pub fn new(folder: &str) -> Self {
        Self { folder: folder.into() }
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.folder)
    }
}

/// An open file, and where it is read next.
pub struct OpenFile {
    file: File,
    position: u64,
}

fn failed(error: &Error) -> FolderError {
    use ErrorKind as K;
    match error.kind() {
        K::NotFound | K::NotADirectory | K::IsADirectory | K::InvalidFilename | K::FilesystemLoop | K::Unsupported => {
            FolderError::NotFound
        }
        K::PermissionDenied => FolderError::Forbidden,
        _ => FolderError::Unavailable,
    }
}

fn info(metadata: &Metadata) -> Result<Info, FolderError> {
    if !metadata.is_dir() && !metadata.file_type().is_file() {
        return Err(FolderError::NotFound);
    }
    Ok(Info {
        is_directory: metadata.is_dir(),
        size: metadata.len(),
        modified: metadata.mtime(),
        changed: metadata.ctime(),
        inode: metadata.ino(),
    })
}

impl Folder for Files {
    type File = OpenFile;

    fn info(&mut self, path: &str) -> Result<Info, FolderError> {
        info(&fs::metadata(&self.path(path)).map_err(|error| failed(&error))?)
    }

    fn open(&mut self, path: &str) -> Result<(OpenFile, Info), FolderError> {
        let opened = File::open(&self.path(path)).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|error| failed(&error))?;
        Ok((OpenFile { file, position: 0 }, info(&metadata)?))
    }

    fn read(&mut self, file: &mut OpenFile, at: u64, into: &mut [u8]) -> Result<usize, FolderError> {
        if file.position != at {
            file.file.seek(SeekFrom::Start(at)).map_err(|error| failed(&error))?;
            file.position = at;
        }
        let count = file.file.read(into).map_err(|error| failed(&error))?;
        file.position += count as u64;
        Ok(count)
    }

    fn list(&mut self, path: &str, most: usize) -> Result<(Vec<Entry>, bool), FolderError> {
        let directory = fs::read_dir(&self.path(path)).map_err(|error| failed(&error))?;
        let mut entries = Vec::new();
        for entry in directory {
            let entry = entry.map_err(|error| failed(&error))?;
            if entries.len() == most {
                return Ok((entries, true));
            }
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            entries.push(Entry { name: entry.file_name(), is_directory });
        }
        Ok((entries, false))
    }
}
