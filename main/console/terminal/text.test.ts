import fc from 'fast-check'
import stringWidth from 'string-width'
import { describe, expect, test } from 'vitest'
import { formatDuration, formatRemaining, formatTimeOfDay } from './duration.ts'
import { cleanLines, cleanText, cutText, fitText, widthOf } from './text.ts'

const esc = '\u001B'
const hostile = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      esc,
      '\u009B',
      '\u009D',
      '\u0007',
      '[',
      ']',
      '31m',
      '2J',
      '\\',
      '\n',
      '\u202E',
      '\u2028',
      '한',
      '👨‍👩‍👧',
      '❤️',
      '\uD800',
      'e\u0301',
    ),
    fc.string({ unit: 'binary', maxLength: 3 }),
  ),
})

describe('text of servers', () => {
  test('loses escape sequences, controls and direction overrides, keeps the words', () => {
    expect(cleanText(`a${esc}]0;title\u0007b${esc}[31mred${esc}[0m \u009B2Jc\r\nd\u202Ee\u0000f`)).toBe(
      'abred c def',
    )
  })

  test('cannot build a new sequence out of the pieces of a removed one', () => {
    expect(cleanText(`${esc}${esc}[m[2J`)).not.toContain(esc)
  })

  test('holds nothing that a terminal obeys, whatever it was', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const clean = cleanText(text)
        expect(clean).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
        expect(cleanText(clean)).toBe(clean)
      }),
    )
  })

  test('keeps its lines where lines are wanted', () => {
    expect(cleanLines(`first\r\nsec${esc}[2Jond\n\n`)).toEqual(['first', 'second'])
  })
})

describe('fitting to columns', () => {
  test('never takes more columns than given, also with wide characters', () => {
    fc.assert(
      fc.property(hostile, fc.nat(30), (text, width) => {
        const clean = cleanText(text)
        expect(stringWidth(cutText(clean, width, '…'))).toBeLessThanOrEqual(width)
        expect(widthOf(fitText(clean, width, '…'))).toBe(width)
      }),
    )
  })

  test('shows that something was cut, and leaves alone what fits', () => {
    expect(cutText('가나다라', 5, '…')).toBe('가나…')
    expect(cutText('가나다라', 8, '…')).toBe('가나다라')
    expect(cutText('abcdef', 5, '...')).toBe('ab...')
    expect(cutText('abcdef', 2, '...')).toBe('')
  })
})

describe('durations', () => {
  test.each([
    [0, '0 s'],
    [59.9, '59 s'],
    [60, '1 min'],
    [200, '3 min 20 s'],
    [3600, '1 h'],
    [7500, '2 h 5 min'],
    [100_000, '1 d 3 h'],
    [-5, '0 s'],
    [Number.NaN, '0 s'],
  ])('%d seconds are %s', (seconds, words) => {
    expect(formatDuration(seconds)).toBe(words)
  })

  test('what is left is rounded up to minutes, and said as "almost there" below one', () => {
    expect(formatRemaining(undefined)).toBe('')
    expect(formatRemaining(59)).toBe('almost there')
    expect(formatRemaining(61)).toBe('about 2 min left')
    expect(formatRemaining(3 * 3600)).toBe('about 3 h left')
  })

  test('a time of day is that of the workstation', () => {
    expect(formatTimeOfDay(new Date(2026, 10, 22, 7, 8, 9).getTime())).toBe('07:08:09')
    expect(formatTimeOfDay(Number.NaN)).toBe('--:--:--')
  })
})
