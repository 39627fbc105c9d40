use lynceus_sensor::kernel::{attach::HookChoice,load::*};
fn main(){
 let (mut k,mut r)=Kernel::load(&Options::default()).unwrap_or_else(|e|{eprintln!("{e:?}");std::process::exit(1)});
 for n in ["in","out","xdp"] { let e = match n {"in"=>k.classifier(false).map(|p|p.info().unwrap().verified_instruction_count()),"out"=>k.classifier(true).map(|p|p.info().unwrap().verified_instruction_count()),_=>k.xdp().map(|p|p.info().unwrap().verified_instruction_count())};
  match e {Ok(i)=>println!("{n} ok {i:?}"),Err(LoadError::Verifier{source,..})=>{ let s=format!("{source}"); let t:Vec<_>=s.lines().collect(); for l in &t[t.len().saturating_sub(4)..]{println!("{l}")}},Err(e)=>println!("{e:?}")} }
 let i=std::env::args().nth(1).unwrap_or("lo".into());
 for c in [HookChoice::Auto,HookChoice::XdpGeneric,HookChoice::Tcx,HookChoice::Clsact]{ match k.attach(&i,c){
  Ok(a)=>{println!("{c:?}: {a:?}"); std::process::Command::new("sh").args(["-c",&format!("echo hi > /dev/udp/127.0.0.1/99 2>/dev/null; bash -c 'echo hi > /dev/udp/127.0.0.1/9; exec 3<>/dev/tcp/127.0.0.1/1; true' 2>/dev/null; sleep 0.3")]).status().unwrap();
   for h in &a.hooks {println!("{:?} {:?}",h.point,r.counters.of_slot(h.slot));}
   for c in 0..r.cache.sizes().cpus {println!("{:?}",r.cache.read_changed(c,|f|println!("{f:?}")));}
   for q in &mut r.rings {println!("{:?}",q.drain(100,|f|println!("R {f:?}")));}
   r.heads.drain(10,|h|println!("H {h:?}"));
  }
  Err(e)=>println!("{c:?} {e} {e:?}")}}
}
