import { wordsOf } from './parse-text.ts'
import type { BootState, SecureBoot } from './node-facts.ts'

const states: ReadonlySet<string> = new Set<BootState>([
  'active_boot',
  'passive_boot',
  'recovery_boot',
  'livecd_boot',
  'autoreset_boot',
  'unknown',
])

/** `kairos-agent state get boot` prints one word, and warnings of its log before it in some versions. */
export function parseAgentBootState(text: string): BootState | undefined {
  const word = text.trim().split(/\s+/u).at(-1) ?? ''
  return isBootState(word) ? word : undefined
}

function isBootState(word: string): word is BootState {
  return states.has(word)
}

/**
 * /proc/cmdline, by the rules of Kairos (palette.md §6.3). `undefined` when it names none of its images: a boot by a
 * unified kernel image, or no Kairos.
 */
export function parseCommandLineBootState(text: string): BootState | undefined {
  const has = (...marks: readonly string[]) => marks.some((mark) => text.includes(mark))
  if (has('kairos.reset')) return 'autoreset_boot'
  if (has('COS_ACTIVE')) return 'active_boot'
  if (has('COS_PASSIVE')) return 'passive_boot'
  if (has('COS_RECOVERY', 'COS_SYSTEM', 'recovery-mode')) return 'recovery_boot'
  if (has('live:LABEL', 'live:CDLABEL', 'netboot')) return 'livecd_boot'
  return undefined
}

/** What an administrator may have put into the command line and nobody else should read. */
const secretName = /pass(word|wd|phrase)?|secret|token|credential|chap|(^|[._-])keys?($|[._-])/iu

/** The command line of the kernel, with `…` for every value that may be a secret. */
export function maskCommandLine(text: string): string {
  // A value with spaces stands in quotes.
  return (text.match(/(?:[^\s"]|"[^"]*"?)+/gu) ?? [])
    .map((word) => {
      const [name = ''] = word.split('=')
      if (name === word) return word
      if (secretName.test(name) || name === 'netroot') return `${name}=…`
      return word.replace(/\/\/[^/@\s]*@/gu, '//…@')
    })
    .join(' ')
}

/** The variables of the firmware, each as `od -A n -t u1` prints it: four bytes of attributes, then its value. */
export function parseSecureBootVariables(variables: {
  readonly secureBoot: string
  readonly setupMode: string | undefined
}): SecureBoot | undefined {
  const secureBoot = flagOf(variables.secureBoot)
  if (secureBoot === undefined) return undefined
  if (secureBoot) return 'enabled'
  return variables.setupMode !== undefined && flagOf(variables.setupMode) === true ? 'setup-mode' : 'disabled'
}

function flagOf(octets: string): boolean | undefined {
  const bytes = wordsOf(octets)
  if (bytes.length !== 5 || (bytes[4] !== '0' && bytes[4] !== '1')) return undefined
  return bytes[4] === '1'
}

/** `mokutil --sb-state` */
export function parseMokutil(text: string): SecureBoot | undefined {
  if (/EFI variables are not supported/iu.test(text)) return 'not-uefi'
  if (/^SecureBoot enabled/imu.test(text)) return 'enabled'
  if (!/^SecureBoot disabled/imu.test(text)) return undefined
  return /Setup Mode/iu.test(text) ? 'setup-mode' : 'disabled'
}
