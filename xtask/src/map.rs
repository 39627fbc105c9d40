//! `cargo xtask map`: the outline of the world's land for the page, out of Natural Earth (public domain) as the npm
//! package `world-atlas` carries it, written as one SVG path into collector/data/world.path.
//!
//! The result is committed, so builds need neither Node nor a network. Rings that cross the antimeridian are cut there;
//! without that they would draw lines across the whole map.

use std::fmt::Write as _;
use std::fs;
use std::process::Stdio;

use anyhow::{Context, ensure};
use clap::Args;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::shell::{command, execute, root};

const PACKAGE: &str = "world-atlas@2.0.2";
const FILE: &str = "package/land-110m.json";
const SHA256: &str = "ead5f68119c49a9250902e7da303bcb209341bbb8fefe7369a439b48b704658a";
const OUT: &str = "collector/data/world.path";

/// Units of the path: 1440 × 720 for the whole globe, a quarter of a degree each.
const UNITS: f64 = 4.0;
/// Land entirely south of this is left out: nobody's address is there, and it takes a fifth of the picture.
const SOUTH: f64 = -60.0;

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Only compare what the package gives with what is committed
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = root().join("target/map");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    execute(
        command("npm")
            .current_dir(&folder)
            .args(["pack", "--silent", PACKAGE])
            .stdout(Stdio::null()),
    )?;
    execute(
        command("tar")
            .current_dir(&folder)
            .args(["-xf", "world-atlas-2.0.2.tgz", FILE]),
    )?;
    let bytes = fs::read(folder.join(FILE)).with_context(|| format!("the package has no {FILE}"))?;
    let digest = Sha256::digest(&bytes);
    let digest: String = digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    ensure!(
        digest == SHA256,
        "{FILE} of {PACKAGE} has SHA-256 {digest}, expected {SHA256}"
    );
    let topology: Topology = serde_json::from_slice(&bytes).context("not TopoJSON")?;
    let path = path(&topology)?;
    let out = root().join(OUT);
    if options.check {
        let there = fs::read_to_string(&out).with_context(|| format!("failed to read {OUT}"))?;
        ensure!(there == path, "{OUT} is not what {PACKAGE} gives");
        println!("{OUT} is what {PACKAGE} gives");
        return Ok(());
    }
    fs::write(&out, &path).with_context(|| format!("failed to write {OUT}"))?;
    println!("{OUT}: {} bytes", path.len());
    Ok(())
}

#[derive(Deserialize)]
struct Topology {
    arcs: Vec<Vec<[f64; 2]>>,
    transform: Transform,
    objects: Objects,
}

#[derive(Deserialize)]
struct Transform {
    scale: [f64; 2],
    translate: [f64; 2],
}

#[derive(Deserialize)]
struct Objects {
    land: Land,
}

#[derive(Deserialize)]
struct Land {
    geometries: Vec<Geometry>,
}

#[derive(Deserialize)]
struct Geometry {
    /// Polygons of rings of indices of arcs; a negative one is the arc `!index` backwards.
    arcs: Vec<Vec<Vec<i32>>>,
}

type Ring = Vec<[f64; 2]>;

fn path(topology: &Topology) -> anyhow::Result<String> {
    let mut path = String::new();
    for ring in topology
        .objects
        .land
        .geometries
        .iter()
        .flat_map(|geometry| &geometry.arcs)
        .flatten()
    {
        let ring = unrolled(degrees(topology, ring)?);
        if ring.iter().all(|[_, lat]| *lat < SOUTH) {
            continue;
        }
        // What lies beyond an edge of the map comes in again at the other.
        for turn in [-360.0, 0.0, 360.0] {
            let moved: Ring = ring.iter().map(|[lon, lat]| [lon + turn, *lat]).collect();
            draw(&mut path, &clipped(&clipped(&moved, 1.0), -1.0));
        }
    }
    path.push('\n');
    Ok(path)
}

/// The points of a ring in degrees.
fn degrees(topology: &Topology, arcs: &[i32]) -> anyhow::Result<Ring> {
    let mut ring = Ring::new();
    for &index in arcs {
        let place = usize::try_from(if index < 0 { !index } else { index })?;
        let arc = topology.arcs.get(place).context("an arc that is not there")?;
        let (mut x, mut y) = (0.0, 0.0);
        let mut points: Ring = arc
            .iter()
            .map(|[dx, dy]| {
                x += dx;
                y += dy;
                [
                    x * topology.transform.scale[0] + topology.transform.translate[0],
                    y * topology.transform.scale[1] + topology.transform.translate[1],
                ]
            })
            .collect();
        if index < 0 {
            points.reverse();
        }
        // An arc begins where the one before ended.
        ring.extend(points.into_iter().skip(usize::from(!ring.is_empty())));
    }
    Ok(ring)
}

/// Longitudes without jumps of a whole turn.
fn unrolled(mut ring: Ring) -> Ring {
    let mut turn = 0.0;
    for at in 1..ring.len() {
        let jump = ring[at][0] + turn - ring[at - 1][0];
        if jump > 180.0 {
            turn -= 360.0;
        } else if jump < -180.0 {
            turn += 360.0;
        }
        ring[at][0] += turn;
    }
    ring
}

/// The part of a polygon inside the edge at `side` × 180 degrees (Sutherland and Hodgman, 1974).
fn clipped(ring: &Ring, side: f64) -> Ring {
    let inside = |point: &[f64; 2]| point[0] * side <= 180.0;
    let mut out = Ring::new();
    for (at, point) in ring.iter().enumerate() {
        let before = &ring[(at + ring.len() - 1) % ring.len()];
        if inside(before) != inside(point) {
            let edge = 180.0 * side;
            let part = (edge - before[0]) / (point[0] - before[0]);
            out.push([edge, before[1] + part * (point[1] - before[1])]);
        }
        if inside(point) {
            out.push(*point);
        }
    }
    out
}

/// Appends a ring in whole units, relative to the point before; points that fall together are one.
fn draw(path: &mut String, ring: &Ring) {
    // The cast is exact: the numbers are whole and below 1441.
    let unit = |point: &[f64; 2]| {
        (
            ((point[0] + 180.0) * UNITS).round() as i32,
            ((90.0 - point[1]) * UNITS).round() as i32,
        )
    };
    let mut points: Vec<(i32, i32)> = ring.iter().map(unit).collect();
    points.dedup();
    if points.len() < 3 {
        return;
    }
    let (mut x, mut y) = points[0];
    // Writing into a string cannot fail.
    let _ = write!(path, "M{x} {y}l");
    for (at, (next_x, next_y)) in points[1..].iter().enumerate() {
        let (dx, dy) = (next_x - x, next_y - y);
        let gap = if at == 0 || dx < 0 { "" } else { " " };
        let between = if dy < 0 { "" } else { " " };
        let _ = write!(path, "{gap}{dx}{between}{dy}");
        (x, y) = (*next_x, *next_y);
    }
    path.push('z');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_over_the_antimeridian_is_cut_in_two() {
        let ring = unrolled(vec![
            [170.0, 10.0],
            [-170.0, 10.0],
            [-170.0, -10.0],
            [170.0, -10.0],
        ]);
        assert_eq!(ring[1][0], 190.0);
        let mut path = String::new();
        for turn in [-360.0, 0.0, 360.0] {
            let moved: Ring = ring.iter().map(|[lon, lat]| [lon + turn, *lat]).collect();
            draw(&mut path, &clipped(&clipped(&moved, 1.0), -1.0));
        }
        assert_eq!(path, "M0 320l40 0 0 80-40 0zM1400 320l40 0 0 80-40 0z");
    }

    #[test]
    fn arcs_join_to_rings() {
        let topology: Topology = serde_json::from_str(
            r#"{"arcs":[[[0,0],[10,0]],[[0,0],[0,10],[10,-10]]],
                "transform":{"scale":[1,1],"translate":[0,0]},
                "objects":{"land":{"geometries":[{"arcs":[[[0,-2]]]}]}}}"#,
        )
        .expect("a topology");
        let ring = degrees(&topology, &[0, -2]).expect("a ring");
        assert_eq!(ring, [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [0.0, 0.0]]);
        assert!(degrees(&topology, &[7]).is_err());
    }
}
