//! Ids of the cluster and of the server, kept in the data folder as the original keeps them.

use std::{io, path::Path};

/// Both ids, made when they are not there.
pub struct Identity {
    pub cluster_id: String,
    pub server_id: String,
}

impl Identity {
    pub fn load(data: &Path) -> io::Result<Identity> {
        std::fs::create_dir_all(data)?;
        Ok(Identity { cluster_id: id(&data.join("cluster.id"))?, server_id: id(&data.join("server.id"))? })
    }
}

fn id(path: &Path) -> io::Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) if uuid::Uuid::parse_str(text.trim()).is_ok() => Ok(text.trim().to_owned()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} holds no UUID", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = uuid::Uuid::new_v4().to_string();
            std::fs::write(path, &id)?;
            Ok(id)
        }
        Err(error) => Err(error),
    }
}
