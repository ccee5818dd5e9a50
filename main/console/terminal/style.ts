import { styleText } from 'node:util'
import type { Status } from '../../../shared/events/index.ts'
import { cutText, widthOf } from './text.ts'

/** What a piece of text means. Colour only underlines it: the words alone say everything. */
export type Tone = 'plain' | 'quiet' | 'strong' | 'good' | 'bad' | 'alert' | 'busy'

export interface Span {
  readonly text: string
  readonly tone: Tone
}

/** One row of the terminal. */
export type Line = readonly Span[]

export type Paint = (text: string, tone: Tone) => string

export const paintNothing: Paint = (text) => text

const formats: Record<Exclude<Tone, 'plain'>, Parameters<typeof styleText>[0]> = {
  quiet: 'dim',
  strong: 'bold',
  good: 'green',
  bad: ['bold', 'red'],
  alert: 'yellow',
  busy: 'cyan',
}

/** Colours as far as the stream and the environment (NO_COLOR, FORCE_COLOR) want them. */
export function createPaint(stream: NodeJS.WritableStream): Paint {
  return (text, tone) => (tone === 'plain' || text === '' ? text : styleText(formats[tone], text, { stream }))
}

/** Signs for terminals that know Unicode, and for those that do not. */
export interface Glyphs {
  readonly ellipsis: string
  readonly full: string
  readonly empty: string
  readonly separator: string
  readonly status: Readonly<Record<Status, string>>
}

export const unicodeGlyphs: Glyphs = {
  ellipsis: '…',
  full: '█',
  empty: '░',
  separator: '·',
  status: { pending: '·', running: '▸', done: '✓', skipped: '–', failed: '✗', stopped: '■', planned: '○' },
}

export const asciiGlyphs: Glyphs = {
  ellipsis: '...',
  full: '#',
  empty: '-',
  separator: '-',
  status: { pending: '.', running: '>', done: '+', skipped: '-', failed: 'x', stopped: '!', planned: 'o' },
}

/** Whether the terminal shows Unicode, from the POSIX locale; Windows and macOS terminals do. */
export function chooseGlyphs(env: NodeJS.ProcessEnv, platform: NodeJS.Platform): Glyphs {
  if (platform === 'win32' || platform === 'darwin') return unicodeGlyphs
  const locale = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find(
    (value) => value !== undefined && value !== '',
  )
  return /utf-?8/iu.test(locale ?? '') ? unicodeGlyphs : asciiGlyphs
}

const statusWords: Record<Status, string> = {
  pending: 'waiting',
  running: 'running',
  done: 'done',
  skipped: 'no need',
  failed: 'failed',
  stopped: 'stopped',
  planned: 'planned',
}

const statusTones: Record<Status, Tone> = {
  pending: 'quiet',
  running: 'busy',
  done: 'good',
  skipped: 'quiet',
  failed: 'bad',
  stopped: 'alert',
  planned: 'busy',
}

/** Columns of a status with its sign. */
export const statusWidth = 9

export function statusWord(status: Status): string {
  return statusWords[status]
}

/** Sign and word, filled to `statusWidth` columns. */
export function statusSpan(status: Status, glyphs: Glyphs): Span {
  return {
    text: `${glyphs.status[status]} ${statusWords[status]}`.padEnd(statusWidth),
    tone: statusTones[status],
  }
}

export function bar(fraction: number, cells: number, glyphs: Glyphs): Span {
  const full = Math.floor(clampFraction(fraction) * cells)
  return { text: glyphs.full.repeat(full) + glyphs.empty.repeat(cells - full), tone: 'busy' }
}

/** `0 %` to `100 %`, rounded down: 100 means all of it. */
export function percent(fraction: number): string {
  return `${Math.floor(clampFraction(fraction) * 100)} %`
}

/** The line painted, cut to `width` columns. */
export function paintLine(line: Line, width: number, glyphs: Glyphs, paint: Paint): string {
  const total = line.reduce((sum, span) => sum + widthOf(span.text), 0)
  if (total <= width) return line.map((span) => paint(span.text, span.tone)).join('')
  let room = width - widthOf(glyphs.ellipsis)
  if (room < 0) return ''
  let painted = ''
  for (const span of line) {
    const text = cutText(span.text, room, '')
    painted += paint(text, span.tone)
    room -= widthOf(text)
    if (text !== span.text) break
  }
  return painted + glyphs.ellipsis
}

function clampFraction(fraction: number): number {
  return Number.isFinite(fraction) ? Math.min(1, Math.max(0, fraction)) : 0
}
