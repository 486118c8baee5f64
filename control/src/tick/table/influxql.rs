//! Rows of the InfluxQL functions.

use super::{AS, Edge, FIELD, Kind, NodeSpec, Parameters, Property, fixed, flag, node, variadic};

const PROPERTIES: &[Property] = &[AS, flag("usePointTimes", "the result has the time of the point it comes from")];

/// A function over the values of a field.
const fn function(name: &'static str, parameters: Parameters, provides: Edge, doc: &'static str) -> NodeSpec {
    node(name, name, parameters, (Edge::Same, provides), PROPERTIES, doc)
}

pub(super) const NODES: &[NodeSpec] = &[
    function("count", FIELD, Edge::Stream, "number of values"),
    function("sum", FIELD, Edge::Stream, "sum of the values"),
    function("mean", FIELD, Edge::Stream, "mean of the values"),
    function("median", FIELD, Edge::Stream, "median of the values"),
    function("mode", FIELD, Edge::Stream, "most frequent value"),
    function("spread", FIELD, Edge::Stream, "difference of the largest and the smallest value"),
    function("stddev", FIELD, Edge::Stream, "standard deviation of the values"),
    function("first", FIELD, Edge::Stream, "oldest point"),
    function("last", FIELD, Edge::Stream, "newest point"),
    function("min", FIELD, Edge::Stream, "point with the smallest value"),
    function("max", FIELD, Edge::Stream, "point with the largest value"),
    function("percentile", fixed(&[Kind::String, Kind::Float]), Edge::Stream, "point at a percentile"),
    function("distinct", FIELD, Edge::Batch, "each value once"),
    function("top", variadic(&[Kind::Int, Kind::String], Kind::String), Edge::Batch, "the n largest values"),
    function("bottom", variadic(&[Kind::Int, Kind::String], Kind::String), Edge::Batch, "the n smallest values"),
    node(
        "holtWinters",
        "holtWinters",
        fixed(&[Kind::String, Kind::Int, Kind::Int, Kind::Duration]),
        (Edge::Same, Edge::Batch),
        PROPERTIES,
        "forecast values",
    ),
    node(
        "holtWintersWithFit",
        "holtWinters",
        fixed(&[Kind::String, Kind::Int, Kind::Int, Kind::Duration]),
        (Edge::Same, Edge::Batch),
        PROPERTIES,
        "fitted and forecast values",
    ),
    function("elapsed", fixed(&[Kind::String, Kind::Duration]), Edge::Same, "time between points"),
    function("difference", FIELD, Edge::Same, "difference to the value before"),
    function("movingAverage", fixed(&[Kind::String, Kind::Int]), Edge::Same, "mean of the last n values"),
    function("cumulativeSum", FIELD, Edge::Same, "running sum"),
];
