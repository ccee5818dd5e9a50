import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  parseCpuInfo,
  parseInstalledMemory,
  parseMemoryInfo,
  parseProcessorCount,
} from './parse-cpu-memory.ts'

const gibibyte = 1024 ** 3

describe('processors', () => {
  it('are counted', () => {
    expect(parseProcessorCount('8\n')).toBe(8)
    expect(parseProcessorCount('0\n')).toBeUndefined()
    expect(parseProcessorCount('eight')).toBeUndefined()
  })

  it('have a model and flags; on ARM only features', () => {
    const intel = 'processor\t: 0\nmodel name\t: Intel(R) Xeon(R) CPU @ 2.20GHz\nflags\t\t: fpu avx avx2\n'
    expect(parseCpuInfo(intel)).toEqual({
      model: 'Intel(R) Xeon(R) CPU @ 2.20GHz',
      flags: ['fpu', 'avx', 'avx2'],
    })
    const arm = 'processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n'
    expect(parseCpuInfo(arm)).toEqual({ model: undefined, flags: ['fp', 'asimd'] })
    expect(parseCpuInfo('')).toEqual({ model: undefined, flags: undefined })
  })
})

describe('memory', () => {
  it('is in bytes', () => {
    const text =
      'MemTotal:       16374572 kB\nMemFree:  1 kB\nMemAvailable:   12000000 kB\nSwapTotal:             0 kB\n'
    expect(parseMemoryInfo(text)).toEqual({
      total: 16_374_572 * 1024,
      available: 12_000_000 * 1024,
      swap: 0,
    })
    expect(parseMemoryInfo('MemTotal: 16 GB\n')).toBeUndefined()
    expect(parseMemoryInfo('')).toBeUndefined()
  })

  const memoryModule = (size: string) =>
    `Handle 0x1100, DMI type 17, 40 bytes\nMemory Device\n\tArray Handle: 0x1000\n\tSize: ${size}\n\tVolatile Size: ${size}\n\tForm Factor: DIMM\n`

  it('is the sum of its modules, old and new units', () => {
    const text = [
      '# dmidecode 3.4\nGetting SMBIOS data from sysfs.\n',
      memoryModule('16 GB'),
      memoryModule('16384 MB'),
      memoryModule('No Module Installed'),
    ].join('\n')
    expect(parseInstalledMemory(text)).toBe(32 * gibibyte)
  })

  it('is that of the mapped range where no modules are described', () => {
    const range = 'Handle 0x1300, DMI type 19, 31 bytes\nMemory Array Mapped Address\n\tRange Size: 2 GB\n'
    expect(parseInstalledMemory(range)).toBe(2 * gibibyte)
    expect(parseInstalledMemory(`${memoryModule('4 GB')}\n${range}`)).toBe(4 * gibibyte)
  })

  it('is unknown when one module is', () => {
    expect(parseInstalledMemory(`${memoryModule('16 GB')}\n${memoryModule('Unknown')}`)).toBeUndefined()
    expect(parseInstalledMemory('# No SMBIOS nor DMI entry point found, sorry.\n')).toBeUndefined()
    expect(parseInstalledMemory(memoryModule('No Module Installed'))).toBeUndefined()
  })

  it('of any text is undefined or a positive number of bytes', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const size of [parseInstalledMemory(memoryModule(text)), parseMemoryInfo(text)?.total]) {
          if (size !== undefined) expect(size).toBeGreaterThan(0)
        }
      }),
    )
  })
})
