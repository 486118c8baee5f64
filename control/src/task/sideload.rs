//! The files of sideload nodes, read anew while their tasks run (reference: nodes-alert-join-io §7.3).

use proto::plan::{NodeKind, SideloadFile};

use super::{Running, Tasks};
use crate::{
    engine::EngineError,
    tick::{Compiled, Endpoint, read_sideload},
};

impl Tasks {
    /// Reads the files of all running tasks first, so that one that is bad leaves everything as it was; the text says
    /// which.
    pub async fn reload_sideloads(&self) -> Result<(), String> {
        let _operation = self.shared.operation.lock().await;
        let running = |running: &Running| running.compiled.clone();
        let tasks: Vec<_> = {
            let index = self.index();
            index.iter().filter_map(|(id, entry)| Some((id.clone(), running(entry.running.as_ref()?)))).collect()
        };
        let config = self.shared.config.get();
        let endpoint = move |name: &str| config.endpoint(name);
        let read = move || tasks.into_iter().map(|(id, compiled)| Ok((id, files(&compiled, &endpoint)?))).collect();
        let read: Result<Vec<_>, String> =
            tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())?;
        for (id, nodes) in read? {
            for (node, files) in nodes {
                // Whoever starts the task again, because the data plane died, has the new files.
                if let Some(running) = self.index().get_mut(&id).and_then(|entry| entry.running.as_mut()) {
                    replace(running, &node, &files);
                }
                match self.shared.engine.sideload(&id, &node, files).await {
                    Ok(()) | Err(EngineError::Away) => {}
                    Err(EngineError::Refused(error)) => return Err(error.to_string()),
                }
            }
        }
        Ok(())
    }
}

/// Sideload nodes by name, with their files as they are now.
fn files(
    compiled: &Compiled,
    endpoint: &dyn Fn(&str) -> Option<Endpoint>,
) -> Result<Vec<(String, Vec<SideloadFile>)>, String> {
    let nodes = compiled.pipeline.nodes.iter().filter(|node| node.spec.method == "sideload");
    let read = |source: Option<&str>| read_sideload(source.unwrap_or_default(), endpoint);
    nodes.map(|node| Ok((node.name.clone(), read(node.string("source"))?))).collect()
}

fn replace(running: &mut Running, name: &str, files: &[SideloadFile]) {
    for node in running.plan.nodes.iter_mut().filter(|node| node.name == name) {
        if let NodeKind::Sideload(sideload) = &mut node.kind {
            sideload.files = files.to_vec();
        }
    }
}
