import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readIsoImage } from './iso-image.ts'

const sector = 2048
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'landfall-iso-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function read(image: Uint8Array) {
  const file = join(folder, 'image.iso')
  await writeFile(file, image)
  const handle = await open(file)
  try {
    return await readIsoImage(handle)
  } finally {
    await handle.close()
  }
}

/** An image with primary volume descriptor, boot record, terminator and a boot catalog of these platforms. */
function imageOf({ platforms = [0x00, 0xef], blocks = 30, label = 'PALETTE_4_7' } = {}): Buffer {
  const image = Buffer.alloc(24 * sector)
  const descriptor = (index: number, type: number): Buffer => {
    const start = (16 + index) * sector
    const part = image.subarray(start, start + sector)
    part[0] = type
    part.write('CD001', 1, 'latin1')
    part[6] = 1
    return part
  }
  const primary = descriptor(0, 1)
  primary.write(label.padEnd(32), 40, 'latin1')
  primary.writeUInt32LE(blocks, 80)
  primary.writeUInt16LE(sector, 128)
  if (platforms.length > 0) {
    const boot = descriptor(1, 0)
    boot.write('EL TORITO SPECIFICATION', 7, 'latin1')
    boot.writeUInt32LE(20, 0x47)
    descriptor(2, 255)
    const catalog = image.subarray(20 * sector, 21 * sector)
    catalog[0] = 1
    catalog[1] = platforms[0] ?? 0
    catalog.writeUInt16LE(0xaa55, 0x1e)
    catalog[32] = 0x88
    for (const [index, platform] of platforms.slice(1).entries()) {
      const header = 64 + index * 64
      catalog[header] = index === platforms.length - 2 ? 0x91 : 0x90
      catalog[header + 1] = platform
      catalog[header + 32] = 0x88
    }
  } else descriptor(1, 255)
  return image
}

describe('an image of a CD', () => {
  it('tells its label, the size it must have, and that UEFI starts from it', async () => {
    expect(await read(imageOf())).toEqual({
      kind: 'iso',
      label: 'PALETTE_4_7',
      declaredSize: 30 * sector,
      boot: 'efi',
    })
  })

  it.each([
    ['UEFI alone', [0xef], 'efi'],
    ['BIOS alone', [0x00], 'other'],
    ['BIOS and Macintosh', [0x00, 0x02], 'other'],
    ['BIOS, Macintosh and UEFI', [0x00, 0x02, 0xef], 'efi'],
    ['nothing', [], 'none'],
  ])('for %s has boot images of kind %s', async (_name, platforms, boot) => {
    expect(await read(imageOf({ platforms }))).toMatchObject({ kind: 'iso', boot })
  })

  it('that is something else is none', async () => {
    expect(await read(Buffer.alloc(0))).toMatchObject({ kind: 'not-an-iso' })
    expect(await read(Buffer.from('a raw disk'))).toMatchObject({ kind: 'not-an-iso' })
    expect(await read(imageOf().subarray(0, 17 * sector))).toMatchObject({ kind: 'not-an-iso' })
  })

  it('never makes reading fail, whatever its bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(24 * sector - 1), fc.nat(255)), { maxLength: 40 }),
        fc.nat(24 * sector),
        async (changes, length) => {
          const image = imageOf()
          for (const [at, value] of changes) image[at] = value
          await read(image.subarray(0, length))
        },
      ),
      { numRuns: 60 },
    )
  })
})
