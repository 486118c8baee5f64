//! A pipeline as a DOT digraph (reference: tickscript §14, http-api §11).

use std::fmt::Write;

use dataplane::template::duration_text;
use proto::message::TaskStatistics;

use super::pipeline::{Pipeline, TaskType};

/// How the graph of a running task shows its counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    #[default]
    Attributes,
    Labels,
}

/// The graph of a task that does not run.
pub fn plain(task: &str, pipeline: &Pipeline) -> String {
    let mut text = format!("digraph {task} {{\n");
    for index in pipeline.dot_order() {
        if is_batch_source(pipeline, index) {
            continue;
        }
        let node = &pipeline.nodes[index];
        for child in &node.children {
            push(&mut text, format_args!("{} -> {};\n", node.name, pipeline.nodes[*child].name));
        }
    }
    text.push('}');
    text
}

/// The graph of a running task with its counters.
pub fn running(task: &str, pipeline: &Pipeline, statistics: &TaskStatistics, view: View) -> String {
    let unit = if pipeline.task_type == TaskType::Stream { "points/s" } else { "batches/s" };
    let throughput = statistics.throughput;
    let mut text = format!("digraph {task} {{\n");
    match view {
        View::Attributes => push(&mut text, format_args!("graph [throughput=\"{throughput:.2} {unit}\"];\n")),
        View::Labels => push(
            &mut text,
            format_args!("graph [label=\"Throughput: {throughput:.2} {unit}\" forcelabels=true pad=\"0.8,0.5\"];\n"),
        ),
    }
    let order = pipeline.dot_order();
    for &index in &order {
        if is_batch_source(pipeline, index) {
            continue;
        }
        let node = &pipeline.nodes[index];
        let counted = statistics.nodes.get(index);
        let mut pairs = vec![
            ("avg_exec_time_ns", duration(counted.map_or(0, |node| node.avg_exec_time_ns))),
            ("errors", counted.map_or(0, |node| node.errors).to_string()),
            ("working_cardinality", counted.map_or(0, |node| node.working_cardinality).to_string()),
        ];
        let extra = counted.iter().flat_map(|node| &node.extra);
        pairs.extend(extra.map(|(name, count)| (name.as_str(), count.to_string())));
        pairs.sort();
        push(&mut text, format_args!("\n{} [", node.name));
        match view {
            View::Attributes => {
                for (name, value) in &pairs {
                    push(&mut text, format_args!("{name}=\"{value}\" "));
                }
            }
            View::Labels => {
                let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
                push(&mut text, format_args!("xlabel=\"{}\"", pairs.join("\\r")));
            }
        }
        text.push_str("];\n");
        // Children as they stand in the order of nodes.
        for child in order.iter().filter(|child| node.children.contains(child)) {
            let taken = counted.iter().flat_map(|node| &node.children);
            let taken: u64 = taken.filter(|(to, _)| to == child).map(|(_, count)| count).sum();
            let key = if view == View::Attributes {
                format!("processed=\"{taken}\"")
            } else {
                format!("label=\"processed={taken}\"")
            };
            push(&mut text, format_args!("{} -> {} [{key}];\n", node.name, pipeline.nodes[*child].name));
        }
    }
    text.push('}');
    text
}

/// A time that was taken, as Go prints it: `0s`, `2.414µs`, `1m30s`.
pub fn duration(nanoseconds: u64) -> String {
    duration_text(i64::try_from(nanoseconds).unwrap_or(i64::MAX))
}

/// The source of queries prints nothing.
fn is_batch_source(pipeline: &Pipeline, index: usize) -> bool {
    index == 0 && pipeline.task_type == TaskType::Batch
}

/// Writing to a `String` cannot fail.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        let cases = [
            (0, "0s"),
            (999, "999ns"),
            (2_414, "2.414µs"),
            (1_500_000, "1.5ms"),
            (59_999_999_999, "59.999999999s"),
            (60_000_000_000, "1m0s"),
            (90_061_001_000_000, "25h1m1.001s"),
        ];
        for (nanoseconds, text) in cases {
            assert_eq!(duration(nanoseconds), text);
        }
    }
}
