//! A file that is appended to, through io_uring or the blocking pool.

use std::{io, path::Path};

use tokio::io::AsyncWriteExt;

/// How files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Uring,
    Pool,
}

pub struct Output {
    file: File,
    length: u64,
}

enum File {
    Uring(tokio_uring::fs::File),
    Pool(tokio::fs::File),
}

impl Output {
    /// An empty file; one that is there is emptied.
    pub async fn create(path: &Path, access: Access) -> io::Result<Output> {
        let file = match access {
            Access::Uring => File::Uring(tokio_uring::fs::File::create(path).await?),
            Access::Pool => File::Pool(tokio::fs::File::create(path).await?),
        };
        Ok(Output { file, length: 0 })
    }

    pub async fn append(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let length = bytes.len() as u64;
        match &mut self.file {
            File::Uring(file) => file.write_all_at(bytes, self.length).await.0?,
            File::Pool(file) => file.write_all(&bytes).await?,
        }
        self.length += length;
        Ok(())
    }

    pub fn len(&self) -> u64 {
        self.length
    }

    /// All of it is on disk when this returns.
    pub async fn complete(self) -> io::Result<()> {
        match self.file {
            File::Uring(file) => {
                file.sync_all().await?;
                file.close().await
            }
            File::Pool(mut file) => {
                file.flush().await?;
                file.sync_all().await
            }
        }
    }
}
