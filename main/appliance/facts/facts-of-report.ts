import { bootFacts } from './boot-facts.ts'
import { clockFacts } from './clock-facts.ts'
import { diskFacts } from './disk-facts.ts'
import { parseFact } from './fact.ts'
import { networkFacts } from './network-facts.ts'
import type { HostFacts } from './node-facts.ts'
import { parseHostName } from './parse-system.ts'
import { lineOf } from './parse-text.ts'
import { createReportReader } from './report-reader.ts'
import type { Report } from './report.ts'
import {
  cpuFacts,
  identityFacts,
  listeningFacts,
  memoryFacts,
  osFacts,
  serviceFacts,
  spaceFact,
} from './system-facts.ts'

/** Facts from what the node printed. `interruption`: why the report is not complete, where it is not. */
export function factsOfReport(report: Report, interruption: string): HostFacts {
  const reader = createReportReader(report, interruption)
  return {
    boot: bootFacts(reader),
    os: osFacts(reader),
    hostName: {
      current: parseFact(reader.file('host-name', '/proc/sys/kernel/hostname'), lineOf),
      static: parseFact(reader.file('host-name', '/etc/hostname'), parseHostName),
    },
    identity: identityFacts(reader),
    cpu: cpuFacts(reader),
    memory: memoryFacts(reader),
    disks: diskFacts(reader),
    network: networkFacts(reader),
    clock: clockFacts(reader),
    services: serviceFacts(reader),
    listening: listeningFacts(reader),
    space: {
      '/': spaceFact(reader, '/'),
      '/usr/local': spaceFact(reader, '/usr/local'),
      '/oem': spaceFact(reader, '/oem'),
    },
  }
}

/** Facts of a node that could not be asked: each says why, and how it would have been read. */
export function unreadHostFacts(reason: string): HostFacts {
  return factsOfReport({ hasStarted: false, isComplete: false, sections: new Map() }, reason)
}
