//! Where the sockets between the two processes are.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::SuperviseError;

/// Longest path that a unix socket may have, with its end.
const SOCKET_PATH_MAX: usize = 100;

#[derive(Clone, Debug)]
pub struct Paths {
    /// The data plane listens here.
    pub link: PathBuf,
    /// The API listens here.
    pub control: PathBuf,
}

impl Paths {
    /// Sockets in `run` below the data folder; where that path is too long for a socket, in a folder named by its hash.
    pub fn new(data: &Path) -> Result<Paths, SuperviseError> {
        let mut folder = data.join("run");
        if folder.as_os_str().len() + 20 > SOCKET_PATH_MAX {
            let mut hasher = DefaultHasher::new();
            data.hash(&mut hasher);
            let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
            folder = base.join(format!("farad-{:016x}", hasher.finish()));
        }
        make_private(&folder).map_err(|error| SuperviseError::Path { path: folder.clone(), error })?;
        Ok(Paths { link: folder.join("dataplane.sock"), control: folder.join("control.sock") })
    }
}

/// A folder that only its owner may enter: whoever reaches the sockets needs no credentials.
fn make_private(folder: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}
