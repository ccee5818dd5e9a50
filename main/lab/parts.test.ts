import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { X509Certificate } from 'node:crypto'
import { createServerIdentity } from './certificate.ts'
import { parseDuration } from './durations.ts'
import { maskOf, prefixOf } from './hardware.ts'
import { MultipartError, readMultipart } from './http/multipart.ts'
import { createManualClock } from './manual-clock.ts'
import { Recorder } from './report.ts'
import { Scheduler } from './scheduler.ts'
import { CommandLineError, parseCommandLine } from './ssh/command-line.ts'

describe('multipart reader', () => {
  async function* inPieces(content: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
    let offset = 0
    for (let index = 0; offset < content.length; index += 1) {
      const size = sizes[index % sizes.length] ?? 1
      yield await Promise.resolve(content.subarray(offset, offset + size))
      offset += size
    }
  }

  test('gives back every part, wherever the chunks are cut', async () => {
    // Line breaks and dashes on purpose: they look like the beginning of a boundary.
    const content = fc.array(fc.constantFrom('\r', '\n', '-', '--XX', '\r\n--X', 'a'), { maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(
        fc.array(content, { minLength: 1, maxLength: 4 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
        async (parts, sizes) => {
          const texts = parts.map((part) => part.join(''))
          fc.pre(texts.every((text) => !text.includes('\r\n--XYZ')))
          const body = texts
            .map(
              (text, index) =>
                `--XYZ\r\nContent-Disposition: form-data; name="f${index}"; filename="x"\r\n\r\n${text}\r\n`,
            )
            .join('')
          const read: string[] = []
          const source = inPieces(Buffer.from(`${body}--XYZ--\r\n`), sizes)
          for await (const part of readMultipart(source, 'multipart/form-data; boundary=XYZ')) {
            const chunks: Buffer[] = []
            for await (const chunk of part.data) chunks.push(chunk)
            expect(part.name).toBe(`f${read.length}`)
            read.push(Buffer.concat(chunks).toString())
          }
          expect(read).toEqual(texts)
        },
      ),
    )
  })

  test('a body that ends in the middle is an error, not a short file', async () => {
    const read = async (text: string, type = 'multipart/form-data; boundary=XYZ') => {
      for await (const part of readMultipart(inPieces(Buffer.from(text), [7]), type)) {
        for await (const _chunk of part.data);
      }
    }
    await expect(read('--XYZ\r\nContent-Disposition: form-data; name="a"\r\n\r\nhalf')).rejects.toThrow(
      MultipartError,
    )
    await expect(read('{}', 'application/json')).rejects.toThrow(MultipartError)
  })
})

describe('command lines', () => {
  test('a word that is quoted comes back as it was', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 5 }), (words) => {
        const line = words.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
        expect(parseCommandLine(line, '/home/x')[0]?.pipeline[0]?.words).toEqual(words)
      }),
    )
  })

  test('lists, pipelines and redirections', () => {
    expect(parseCommandLine('a "b c" 2>/dev/null | d > ~/e && f; g || h 2>&1', '/home/x')).toMatchObject([
      {
        connector: ';',
        pipeline: [
          { words: ['a', 'b c'], redirections: [{ stream: 'stderr', path: '/dev/null' }] },
          { words: ['d'], redirections: [{ stream: 'stdout', mode: 'write', path: '/home/x/e' }] },
        ],
      },
      { connector: '&&', pipeline: [{ words: ['f'] }] },
      { connector: ';', pipeline: [{ words: ['g'] }] },
      { connector: '||', pipeline: [{ words: ['h'], mergesStderr: true }] },
    ])
  })

  test.each(["echo 'open", 'echo $(id)', 'sleep 1 &', 'a > ', '| b'])('%s is refused', (line) => {
    expect(() => parseCommandLine(line, '/')).toThrow(CommandLineError)
  })
})

describe('small parts', () => {
  test('the scheduler runs tasks in order at their own time, also when time jumps', async () => {
    const clock = createManualClock(0)
    const scheduler = new Scheduler(clock)
    const seen: string[] = []
    scheduler.after(300, (at) => {
      seen.push(`c${at}`)
      scheduler.after(50, (later) => seen.push(`d${later}`))
    })
    scheduler.after(100, (at) => seen.push(`a${at}`))
    const cancel = scheduler.after(200, () => seen.push('never'))
    cancel()
    await clock.advance(1000)
    expect(seen).toEqual(['a100', 'c300', 'd350'])
    scheduler.after(10, () => seen.push('never'))
    scheduler.stop()
    await clock.advance(1000)
    expect(seen).toHaveLength(3)
  })

  test('the critical path is the union of what overlaps, up to now', () => {
    const recorder = new Recorder(10)
    recorder.busy(0, 4000)
    recorder.busy(2000, 6000)
    recorder.busy(8000, 20_000)
    expect(recorder.report(10_000)).toMatchObject({ criticalPathSeconds: 8, criticalPathWallSeconds: 0.8 })
  })

  test('masks and prefix lengths are each other`s inverse', () => {
    for (let prefix = 0; prefix <= 32; prefix += 1) {
      expect(prefixOf(maskOf(prefix))).toBe(prefix)
      expect(prefixOf(String(prefix))).toBe(prefix)
    }
    expect(maskOf(22)).toBe('255.255.252.0')
    expect(prefixOf('255.0.255.0')).toBeNull()
  })

  test('durations', () => {
    expect([parseDuration('90s'), parseDuration('1h30m'), parseDuration('250ms'), parseDuration(5)]).toEqual([
      90_000, 5_400_000, 250, 5000,
    ])
    expect([parseDuration('5 min'), parseDuration(''), parseDuration(-1)]).toEqual([null, null, null])
  })

  test('certificates are valid X.509 around both times, whatever the names', async () => {
    for (const simulated of [Date.now(), Date.UTC(2060, 5, 1)]) {
      const { certificate } = await createServerIdentity('edge-0123', ['10.10.200.11'], simulated)
      const parsed = new X509Certificate(certificate)
      expect(parsed.subject).toBe('CN=edge-0123')
      expect(parsed.subjectAltName).toBe('DNS:edge-0123, IP Address:10.10.200.11')
      expect(parsed.verify(parsed.publicKey)).toBe(true)
      expect(Date.parse(parsed.validFrom)).toBeLessThan(Date.now())
      expect(Date.parse(parsed.validTo)).toBeGreaterThan(simulated)
    }
  })
})
