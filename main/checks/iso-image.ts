import type { FileHandle } from 'node:fs/promises'

/** Bytes of a sector of a CD image (ECMA-119 §6.1.2). */
const sector = 2048
/** Volume descriptors begin here (ECMA-119 §8.1). */
const firstDescriptor = 16
/** A set of descriptors is a handful; an image without its end is none. */
const mostDescriptors = 64
/** Platform of a boot entry that UEFI starts from (UEFI 2.10 §13.3.2.1, El Torito). */
const efiPlatform = 0xef

/** What an image of a CD says about itself. */
export type IsoImage =
  | { readonly kind: 'not-an-iso'; readonly reason: string }
  | {
      readonly kind: 'iso'
      readonly label: string
      /** Bytes that the image must have. */
      readonly declaredSize: number
      /** Boot images by El Torito; `efi`: at least one of them is for UEFI. */
      readonly boot: 'none' | 'other' | 'efi'
    }

/** Reads the volume descriptors (ECMA-119 §8) and the boot catalog (El Torito 1.0) of an image. */
export async function readIsoImage(file: FileHandle): Promise<IsoImage> {
  let primary: Buffer | undefined
  let catalogSector: number | undefined
  for (let index = 0; index < mostDescriptors; index += 1) {
    const descriptor = await readSector(file, firstDescriptor + index)
    if (descriptor?.toString('latin1', 1, 6) !== 'CD001') {
      return {
        kind: 'not-an-iso',
        reason: `no volume descriptor at byte ${(firstDescriptor + index) * sector}`,
      }
    }
    const type = descriptor[0]
    if (type === 1) primary ??= descriptor
    if (type === 0 && descriptor.toString('latin1', 7, 30) === 'EL TORITO SPECIFICATION') {
      catalogSector ??= descriptor.readUInt32LE(0x47)
    }
    if (type === 255) break
  }
  if (primary === undefined) return { kind: 'not-an-iso', reason: 'no primary volume descriptor' }
  const catalog = catalogSector === undefined ? undefined : await readSector(file, catalogSector)
  return {
    kind: 'iso',
    label: primary.toString('latin1', 40, 72).replaceAll('\0', '').trim(),
    declaredSize: primary.readUInt32LE(80) * primary.readUInt16LE(128),
    boot: catalog === undefined ? 'none' : bootOf(catalog),
  }
}

/** Entries of 32 bytes: the validation entry with the first platform, its boot entry, then sections with their own. */
function bootOf(catalog: Buffer): 'none' | 'other' | 'efi' {
  if (catalog[0] !== 0x01 || catalog.readUInt16LE(0x1e) !== 0xaa55) return 'none'
  const platforms = [catalog[1]]
  for (let at = 64; at + 32 <= catalog.length; at += 32) {
    // 0x90: another section follows; 0x91: the last one. What is between them are their entries.
    if (catalog[at] === 0x90 || catalog[at] === 0x91) platforms.push(catalog[at + 1])
    if (catalog[at] === 0x91 || catalog[at] === undefined) break
  }
  return platforms.includes(efiPlatform) ? 'efi' : 'other'
}

/** `undefined`: the file ends before. */
async function readSector(file: FileHandle, index: number): Promise<Buffer | undefined> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(sector), 0, sector, index * sector)
  return bytesRead === sector ? buffer : undefined
}
