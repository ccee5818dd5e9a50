import { type Fact, firstRead, mapFact, parseFact, read, readIfTold, unread } from './fact.ts'
import type { BootFacts, SecureBoot } from './node-facts.ts'
import {
  maskCommandLine,
  parseAgentBootState,
  parseCommandLineBootState,
  parseMokutil,
  parseSecureBootVariables,
} from './parse-boot.ts'
import { parseUptime } from './parse-system.ts'
import { lineOf } from './parse-text.ts'
import { folderFact, partOf, type ReportReader } from './report-reader.ts'

export function bootFacts(reader: ReportReader): BootFacts {
  const commandLine = reader.file('command-line', '/proc/cmdline')
  const stateByAgent = parseFact(reader.output('kairos-agent'), parseAgentBootState)
  const stateByCommandLine =
    commandLine.kind === 'unread'
      ? commandLine
      : readIfTold(
          parseCommandLineBootState(commandLine.value),
          commandLine.source,
          'it names none of the images of the appliance',
        )
  const marks = reader.parts('boot-marks')
  return {
    stateByAgent,
    stateByCommandLine,
    state: agreedBootState(stateByAgent, stateByCommandLine),
    commandLine: mapFact(commandLine, maskCommandLine),
    marks: folderFact(marks, '/run/cos', '/run/cos'),
    images: folderFact(marks, 'images', '/run/initramfs/cos-state/cOS'),
    isUefi: mapFact(
      { ...marks, source: '/sys/firmware/efi' },
      (parts) => partOf(parts, 'firmware', 'efi') !== undefined,
    ),
    secureBoot: secureBootFact(reader),
    bootId: parseFact(reader.file('uptime', '/proc/sys/kernel/random/boot_id'), lineOf),
    uptimeMs: parseFact(reader.file('uptime', '/proc/uptime'), parseUptime),
  }
}

function agreedBootState(
  agent: BootFacts['stateByAgent'],
  commandLine: BootFacts['stateByCommandLine'],
): BootFacts['state'] {
  // The agent says "unknown" when it recognises nothing: that is no witness against the command line.
  const isAgentSure = agent.kind === 'read' && agent.value !== 'unknown'
  if (!isAgentSure) return commandLine.kind === 'read' ? commandLine : agent
  if (commandLine.kind === 'unread' || commandLine.value === agent.value) return agent
  return unread(
    `${agent.source} says ${agent.value}, but ${commandLine.source} says ${commandLine.value}`,
    `${agent.source}; ${commandLine.source}`,
  )
}

function secureBootFact(reader: ReportReader): Fact<SecureBoot> {
  const byVariable = secureBootByVariable(reader)
  // mokutil ends with 1 where there are no variables.
  const byMokutil = secureBootByMokutil(reader)
  if (
    byVariable.kind === 'read' &&
    byMokutil.kind === 'read' &&
    (byVariable.value === 'enabled') !== (byMokutil.value === 'enabled')
  ) {
    return unread(
      `the variables of the firmware say ${byVariable.value}, but ${byMokutil.source} says ${byMokutil.value}`,
      `${byVariable.source}; ${byMokutil.source}`,
    )
  }
  return firstRead(byVariable, byMokutil)
}

function secureBootByVariable(reader: ReportReader): Fact<SecureBoot> {
  const parts = reader.parts('secure-boot-variable')
  if (parts.kind === 'unread') return parts
  const { value, source } = parts
  if (partOf(value, 'absent', 'efi') !== undefined) return read('not-uefi', '/sys/firmware/efi')
  const secureBoot = partOf(value, 'variable', 'SecureBoot')
  if (secureBoot === undefined) {
    const isDenied = partOf(value, 'denied', 'SecureBoot') !== undefined
    return unread(isDenied ? 'only root may read it' : 'the firmware has no such variable', source)
  }
  return readIfTold(
    parseSecureBootVariables({
      secureBoot: secureBoot.text,
      setupMode: partOf(value, 'variable', 'SetupMode')?.text,
    }),
    source,
    'the variable of the firmware has an unexpected form',
  )
}

function secureBootByMokutil(reader: ReportReader): Fact<SecureBoot> {
  const output = reader.output('mokutil', { exitCodes: [0, 1, 255] })
  return parseFact(output, parseMokutil)
}
