import { type Fact, firstRead, mapFact, parseFact, read, readIfTold, unread } from './fact.ts'
import type {
  CpuFacts,
  FileSystemSpace,
  IdentityFacts,
  ListeningSocket,
  MemoryFacts,
  OsFacts,
  Service,
} from './node-facts.ts'
import {
  parseCpuInfo,
  parseInstalledMemory,
  parseMemoryInfo,
  parseProcessorCount,
} from './parse-cpu-memory.ts'
import { parseSocketTable, parseSs } from './parse-sockets.ts'
import { parseDf } from './parse-space.ts'
import {
  architectureOf,
  parseMachineId,
  parseOsRelease,
  parseProductUuid,
  parseServices,
  parseUname,
} from './parse-system.ts'
import { filled, lineOf } from './parse-text.ts'
import type { ReportReader } from './report-reader.ts'
import { serviceUnits } from './sections.ts'

export function osFacts(reader: ReportReader): OsFacts {
  const release = mapFact(
    firstRead(reader.file('os-release', '/etc/os-release'), reader.file('os-release', '/usr/lib/os-release')),
    (text): ReadonlyMap<string, string> => parseOsRelease(text),
  )
  const kairos = reader.file('os-release', '/etc/kairos-release')
  const named = (name: string): Fact<string> =>
    release.kind === 'unread'
      ? release
      : readIfTold(filled(release.value.get(name)), release.source, `it has no ${name}`)
  const kernel = parseFact(reader.output('kernel'), parseUname)
  return {
    id: named('ID'),
    version: named('VERSION_ID'),
    prettyName: named('PRETTY_NAME'),
    release:
      release.kind === 'read' && kairos.kind === 'read'
        ? read(
            new Map([...release.value, ...parseOsRelease(kairos.value)]),
            `${release.source}; ${kairos.source}`,
          )
        : release,
    kernelRelease: mapFact(kernel, (names) => names.release),
    architecture: mapFact(kernel, (names) => architectureOf(names.machine)),
  }
}

export function identityFacts(reader: ReportReader): IdentityFacts {
  const firmware = (name: string) => reader.file('identity', `/sys/class/dmi/id/${name}`)
  const productUuid = firmware('product_uuid')
  return {
    machineId: parseFact(reader.file('identity', '/etc/machine-id'), parseMachineId),
    productUuid: parseFact(productUuid, parseProductUuid),
    serialNumber: parseFact(firmware('product_serial'), lineOf),
    vendor: parseFact(firmware('sys_vendor'), lineOf),
    product: parseFact(firmware('product_name'), lineOf),
    firmwareVersion: parseFact(firmware('bios_version'), lineOf),
    // It ends with 1 when it says "none".
    virtualization: parseFact(reader.output('virtualization', { exitCodes: [0, 1] }), (text) => {
      const word = lineOf(text)
      return word !== undefined && /^[a-z0-9-]+$/u.test(word) ? word : undefined
    }),
  }
}

export function cpuFacts(reader: ReportReader): CpuFacts {
  const model = mapFact(reader.output('processor-model'), parseCpuInfo)
  const told = <Value>(value: Value | undefined): Fact<Value> =>
    model.kind === 'unread' ? model : readIfTold(value, model.source, 'it does not tell')
  return {
    count: parseFact(reader.output('processors'), parseProcessorCount),
    model: told(model.kind === 'read' ? model.value.model : undefined),
    flags: told(model.kind === 'read' ? model.value.flags : undefined),
  }
}

export function memoryFacts(reader: ReportReader): MemoryFacts {
  const memory = parseFact(reader.file('memory', '/proc/meminfo'), parseMemoryInfo)
  const told = (value: number | undefined): Fact<number> =>
    memory.kind === 'unread' ? memory : readIfTold(value, memory.source, 'it does not tell')
  return {
    total: mapFact(memory, ({ total }) => total),
    available: told(memory.kind === 'read' ? memory.value.available : undefined),
    swap: told(memory.kind === 'read' ? memory.value.swap : undefined),
    installed: parseFact(reader.output('memory-modules'), parseInstalledMemory),
  }
}

export function serviceFacts(reader: ReportReader): Fact<readonly Service[]> {
  return parseFact(reader.output('services'), (text) => parseServices(text, serviceUnits))
}

export function listeningFacts(reader: ReportReader): Fact<readonly ListeningSocket[]> {
  const tables = reader.parts('socket-tables')
  const fromTables =
    tables.kind === 'unread'
      ? tables
      : parseFact(read(tables.value.map(({ text }) => text).join('\n'), tables.source), (text) =>
          tables.value.length === 0 ? undefined : parseSocketTable(text),
        )
  return firstRead(parseFact(reader.output('sockets'), parseSs), fromTables)
}

export function spaceFact(reader: ReportReader, path: string): Fact<FileSystemSpace> {
  const source = `df -P -k ${path}`
  const part = reader.partsSoFar('space').find(({ name }) => name === path)
  switch (part?.kind) {
    case 'path':
      return parseFact(read(part.text, source), parseDf)
    case 'absent':
      return unread('there is no such folder', source)
    default:
      return unread(reader.whyNot('space', 'the node did not tell'), source)
  }
}
