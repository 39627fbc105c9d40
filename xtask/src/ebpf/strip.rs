//! Takes the DWARF sections out of an object: the BTF was made of them, and neither loader nor verifier reads them. The
//! line numbers of the verifier's log are in `.BTF.ext`, which stays.

use anyhow::Context;
use object::build::elf::{Builder, SectionData};
use object::elf::SHT_STRTAB;

/// The object without its `.debug_*` sections, their relocations and symbols.
pub(super) fn without_dwarf(object: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut builder = Builder::read(object).context("the built object is no ELF file")?;
    for section in &mut builder.sections {
        let name: &[u8] = &section.name;
        section.delete = name.starts_with(b".debug_") || name.starts_with(b".rel.debug_");
    }
    builder.delete_orphans();
    // LLVM keeps the names of sections and of symbols in one table, the writer wants two.
    let names = builder.sections.add();
    names.name = ".shstrtab".into();
    names.sh_type = SHT_STRTAB;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    builder
        .write(&mut stripped)
        .context("failed to write the object without its debug information")?;
    Ok(stripped)
}
