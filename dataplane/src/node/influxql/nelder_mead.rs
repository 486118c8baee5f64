//! The downhill simplex method (Nelder and Mead 1965) in the variant that the original uses.
//!
//! reference: nodes-stream §10.6, 6. The function may change the vertex that it is given, and that change stays. The order of
//! the arithmetic counts: a difference in a last digit leads the search another way.

/// Most rounds.
const ROUNDS_MAX: usize = 1_000;

/// Spread of the values at which the search ends.
const PRECISION: f64 = 1e-4;

/// The place of the least value found, and what the function says when asked about it once more.
pub fn minimise(start: &[f64], mut function: impl FnMut(&mut [f64]) -> f64) -> (f64, Vec<f64>) {
    let n = start.len();
    let size = n as f64;
    let p = ((size + 1.0).sqrt() - 1.0 + size) / (size * 2.0_f64.sqrt());
    let q = ((size + 1.0).sqrt() - 1.0) / (size * 2.0_f64.sqrt());
    let mut vertices: Vec<Vec<f64>> = vec![start.to_vec()];
    for i in 0..n {
        vertices.push(start.iter().enumerate().map(|(j, x)| x + if i == j { p } else { q }).collect());
    }
    let mut values: Vec<f64> = vertices.iter_mut().map(|vertex| function(vertex)).collect();
    for _ in 0..ROUNDS_MAX {
        let Ranks { worst, second, best } = ranks(&values);
        let mut centroid = vec![0.0; n];
        for (index, vertex) in vertices.iter().enumerate() {
            if index != worst {
                centroid.iter_mut().zip(vertex).for_each(|(sum, x)| *sum += x);
            }
        }
        centroid.iter_mut().for_each(|sum| *sum /= size);
        let along = |from: &[f64], factor: f64| -> Vec<f64> {
            centroid.iter().zip(from).map(|(center, x)| center + factor * (x - center)).collect()
        };
        let mut reflected: Vec<f64> =
            centroid.iter().zip(&vertices[worst]).map(|(center, x)| center + (center - x)).collect();
        let at_reflected = function(&mut reflected);
        if values[best] <= at_reflected && at_reflected < values[second] {
            (vertices[worst], values[worst]) = (reflected, at_reflected);
        } else if at_reflected < values[best] {
            let mut expanded = along(&reflected, 2.0);
            let at_expanded = function(&mut expanded);
            (vertices[worst], values[worst]) =
                if at_expanded < at_reflected { (expanded, at_expanded) } else { (reflected, at_reflected) };
        } else if at_reflected >= values[second] {
            let outside = at_reflected < values[worst];
            let mut contracted = if outside { along(&reflected, 0.5) } else { along(&vertices[worst], 0.5) };
            let at_contracted = function(&mut contracted);
            if at_contracted < values[worst] {
                (vertices[worst], values[worst]) = (contracted, at_contracted);
            } else {
                let center = vertices[best].clone();
                for vertex in &mut vertices {
                    vertex.iter_mut().zip(&center).for_each(|(x, best)| *x = best + (*x - best) / 2.0);
                }
                // Only these two are worked out anew.
                values[worst] = function(&mut vertices[worst]);
                values[second] = function(&mut vertices[second]);
            }
        }
        let mean = values.iter().sum::<f64>() / (size + 1.0);
        let spread = values.iter().map(|value| (value - mean).powi(2) / size).sum::<f64>();
        if spread.sqrt() < PRECISION {
            break;
        }
    }
    let best = ranks(&values).best;
    let place = vertices[best].clone();
    (function(&mut vertices[best]), place)
}

struct Ranks {
    worst: usize,
    second: usize,
    best: usize,
}

/// First index of the largest and of the least value, and of the largest below the largest.
fn ranks(values: &[f64]) -> Ranks {
    let (mut worst, mut best) = (0, 0);
    for (index, value) in values.iter().enumerate() {
        if *value > values[worst] {
            worst = index;
        }
        if *value < values[best] {
            best = index;
        }
    }
    let mut second = best;
    for (index, value) in values.iter().enumerate() {
        if *value > values[second] && *value < values[worst] {
            second = index;
        }
    }
    Ranks { worst, second, best }
}
