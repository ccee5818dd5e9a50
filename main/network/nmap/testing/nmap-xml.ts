import { readFileSync } from 'node:fs'
import type { NmapHost } from '../parse-nmap-xml.ts'

/** What nmap 7.93 wrote in a network namespace; see the name of each file. */
export function recorded(name: string): string {
  return readFileSync(new URL(`recorded/${name}`, import.meta.url), 'utf8')
}

/** A report as nmap 7.93 writes it with `-v -oX -`. */
export function nmapXml(
  hosts: readonly NmapHost[],
  more: { readonly task?: string; readonly skipped?: readonly string[] } = {},
): string {
  const { task = 'ARP Ping Scan', skipped = [] } = more
  const asked = hosts.filter(({ reason }) => reason !== 'localhost-response')
  const up = hosts.filter(({ state }) => state === 'up').length
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<?xml-stylesheet href="file:///usr/bin/../share/nmap/nmap.xsl" type="text/xsl"?>
<!-- Nmap 7.93 scan initiated Sun Nov 22 10:23:49 2026 as: nmap -&#45;noninteractive -sn -->
<nmaprun scanner="nmap" args="nmap -&#45;noninteractive -sn" start="1795343029" version="7.93" xmloutputversion="1.05">
<verbose level="1"/>
<debugging level="0"/>
${skipped.map((address) => `<target specification="${address}" status="skipped" reason="invalid"/>\n`).join('')}${
    asked.length === 0
      ? ''
      : `<taskbegin task="${task}" time="1795343029"/>
<taskprogress task="${task}" time="1795343030" percent="42.00" remaining="2" etc="1795343032"/>
<taskend task="${task}" time="1795343031" extrainfo="${asked.length} total hosts"/>
`
  }${hosts.map(hostXml).join('')}<runstats><finished time="1795343031" elapsed="1.41" exit="success"/><hosts up="${up}" down="${hosts.length - up}" total="${hosts.length}"/>
</runstats>
</nmaprun>
`
}

function hostXml({ address, mac, state, reason }: NmapHost): string {
  const macLine =
    mac === undefined
      ? ''
      : `<address addr="${mac.toUpperCase()}" addrtype="mac" vendor="Example &amp; Sons"/>\n`
  return `<host><status state="${state}" reason="${reason}" reason_ttl="0"/>
<address addr="${address}" addrtype="ipv4"/>
${macLine}${state === 'up' ? '<hostnames>\n</hostnames>\n' : ''}</host>
`
}
