/** GET / of the admin listener: how the server is, for people (daemon.md §4). */
import { Html, markup, type Part } from '../../reference/html';
import type { StorageUse } from './storage-usage';
import type { ProcessStatus } from './process-status';
import { STATUS_STYLE } from './status-style';

/** What the page is about. */
export interface Status {
    readonly serverName: string;
    readonly hostname: string;
    readonly version: string;
    readonly mode: string;
    readonly at: Date;
    readonly stage: 'starting' | 'ready' | 'stopping';
    /** What is wrong with each dependency, or `ok`. */
    readonly findings: Readonly<Record<string, string>>;
    /** Sentences. */
    readonly warnings: readonly string[];
    readonly processes: readonly ProcessStatus[];
    /** Requests that have ended, and of them those that failed by the fault of the server. */
    readonly requests: { readonly total: number; readonly failed: number };
    readonly images: Readonly<Record<string, number>> | undefined;
    readonly jobs: Readonly<Record<string, number>> | undefined;
    readonly storages: readonly StorageUse[];
    /** Records of the log, the newest last. */
    readonly recentRequests: readonly LogRecord[];
    readonly troubles: readonly LogRecord[];
}

export type LogRecord = Readonly<Record<string, unknown>>;

const LEVELS: Readonly<Record<number, string>> = { 40: 'warning', 50: 'error', 60: 'fatal' };

const WHOLE = new Intl.NumberFormat('en');

/** Bytes as people read them. */
export function readable(bytes: number): string {
    const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
    const step = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
    const value = bytes / 1024 ** step;
    return `${step === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[step] ?? ''}`;
}

/** Seconds as people read them: the two largest units. */
export function duration(seconds: number): string {
    const parts: [number, string][] = [
        [Math.floor(seconds / 86_400), 'd'],
        [Math.floor(seconds / 3600) % 24, 'h'],
        [Math.floor(seconds / 60) % 60, 'min'],
        [Math.floor(seconds) % 60, 's'],
    ];
    const first = parts.findIndex(([count]) => count > 0);
    return parts
        .slice(first === -1 ? parts.length - 1 : first)
        .slice(0, 2)
        .map(([count, unit]) => `${count} ${unit}`)
        .join(' ');
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

type Tone = 'good' | 'doubtful' | 'bad';

const state = (tone: Tone, text: string): Html => markup`<span class="state ${tone}">${text}</span>`;

interface Column {
    readonly title: string;
    readonly kind?: 'number' | 'time' | 'long';
}

function table(columns: readonly Column[], rows: readonly (readonly Part[])[]): Html {
    const cell = ({ kind }: Column, content: Part) =>
        kind === undefined ? markup`<td>${content}</td>` : markup`<td class="${kind}">${content}</td>`;
    const head = columns.map(({ title, kind }) =>
        kind === 'number' ? markup`<th class="number">${title}</th>` : markup`<th>${title}</th>`,
    );
    return markup`<div class="scroll"><table>
<thead><tr>${head}</tr></thead>
<tbody>
${rows.map((row) => markup`<tr>${row.map((content, index) => cell(columns[index] ?? { title: '' }, content))}</tr>\n`)}</tbody>
</table></div>
`;
}

function section(title: string, content: Part): Html {
    return markup`<section>
<h2>${title}</h2>
${content}</section>
`;
}

const nothing = (text: string): Html => markup`<p class="empty">${text}</p>\n`;

function verdict({ stage, findings }: Status): Html {
    if (stage !== 'ready') {
        return state('doubtful', stage);
    }
    return Object.values(findings).every((finding) => finding === 'ok')
        ? state('good', 'ok')
        : state('bad', 'not everything can be used');
}

function header(status: Status): Html {
    const { serverName, hostname, version, mode } = status;
    const facts = [hostname, `mode ${mode}`, `version ${version}`].join(' · ');
    return markup`<header>
<h1>${serverName}</h1>
${verdict(status)}
<p>${facts}</p>
<nav><a href="/metrics">Metrics</a> <a href="/logs">Log</a> <a href="/readyz">Readiness</a></nav>
</header>
`;
}

function banner({ warnings }: Status): Part {
    return warnings.length === 0
        ? undefined
        : markup`<section class="warnings" role="alert">
<h2>The configuration is not secure</h2>
<ul>${warnings.map((warning) => markup`<li>${warning}</li>`)}</ul>
</section>
`;
}

function numbers({ processes, requests }: Status): Html {
    const uptime = Math.max(0, ...processes.map((one) => one.uptime));
    const cpu = processes.reduce((sum, one) => sum + one.cpu, 0);
    const memory = processes.reduce((sum, one) => sum + one.memory, 0);
    const count = processes.length;
    const of = count === 1 ? 'one process' : `${count} processes`;
    const entries: [string, Part, string][] = [
        ['Uptime', duration(uptime), ''],
        ['CPU', percent(cpu), 'of one processor'],
        ['Memory', readable(memory), of],
        ['Requests', WHOLE.format(requests.total), 'since the start'],
        ['Failed', WHOLE.format(requests.failed), 'answers from 500 on'],
    ];
    return markup`<dl class="numbers">
${entries.map(([name, value, note]) => markup`<div><dt>${name}</dt><dd>${value}<small>${note}</small></dd></div>\n`)}</dl>
`;
}

function dependencies({ findings }: Status): Html {
    return section(
        'Depends on',
        table(
            [{ title: 'What' }, { title: 'State', kind: 'long' }],
            Object.entries(findings).map(([name, finding]) => [
                name,
                finding === 'ok' ? state('good', 'ok') : state('bad', finding),
            ]),
        ),
    );
}

function counts(title: string, one: string, given: Status['images'], empty: string): Html {
    const entries = Object.entries(given ?? {});
    if (entries.length === 0) {
        return section(title, nothing(given ? empty : 'The database does not tell at the moment.'));
    }
    const total = entries.reduce((sum, [, count]) => sum + count, 0);
    return section(
        title,
        table(
            [{ title: one }, { title: 'How many', kind: 'number' }],
            [
                ...entries.sort(([, a], [, b]) => b - a).map(([name, count]) => [name, WHOLE.format(count)]),
                ...(entries.length > 1 ? [['all', WHOLE.format(total)]] : []),
            ],
        ),
    );
}

/** How full a disk is; the colours are those of the browser, which change as it gets full. */
function room(space: StorageUse['space']): Part {
    if (!space || space.total === 0) {
        return undefined;
    }
    const used = space.total - space.free;
    const share = used / space.total;
    return markup`<meter min="0" max="1" low="0.8" high="0.9" optimum="0" value="${share.toFixed(3)}">${percent(share)}</meter> ${readable(space.free)} of ${readable(space.total)} free`;
}

function storages({ storages: all }: Status): Html {
    const hasRoom = all.some(({ space }) => space !== undefined);
    return section(
        'Storage',
        table(
            [
                { title: 'Where' },
                { title: 'Files', kind: 'number' },
                { title: 'Size', kind: 'number' },
                ...(hasRoom ? [{ title: 'Disk' }] : []),
            ],
            all.map(({ type, usage, space }) => [
                type,
                usage ? WHOLE.format(usage.files) : 'counting …',
                usage ? readable(usage.size) : '',
                ...(hasRoom ? [room(space)] : []),
            ]),
        ),
    );
}

function processTable({ processes }: Status): Part {
    return processes.length < 2
        ? undefined
        : section(
              'Processes',
              table(
                  [
                      { title: 'Process' },
                      { title: 'Uptime', kind: 'number' },
                      { title: 'CPU', kind: 'number' },
                      { title: 'Memory', kind: 'number' },
                  ],
                  processes.map((one) => [
                      one.pid,
                      duration(one.uptime),
                      percent(one.cpu),
                      readable(one.memory),
                  ]),
              ),
          );
}

const text = (value: unknown): string =>
    typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
const memberOf = (value: unknown, name: string): unknown =>
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;

/** The time of a record within its day, in UTC as the log has it. */
const timeOf = ({ time }: LogRecord): string => text(time).replace(/^.*T/, '').replace(/\..*$/, '');

function requestTable({ recentRequests }: Status): Html {
    if (recentRequests.length === 0) {
        return section('Recent requests', nothing('None yet.'));
    }
    const rows = recentRequests.toReversed().map((record): Part[] => {
        const status = Number(memberOf(record.res, 'statusCode'));
        const tone: Tone = status >= 500 ? 'bad' : status >= 400 ? 'doubtful' : 'good';
        return [
            timeOf(record),
            markup`<span class="mono">${text(memberOf(record.req, 'method'))} ${text(memberOf(record.req, 'url'))}</span>`,
            markup`<span class="${tone}">${status}</span>`,
            `${text(record.latency)} ms`,
            text(record.remoteUser) || '–',
            text(record.forwardedFor) || text(record.remoteAddress),
        ];
    });
    return section(
        'Recent requests',
        table(
            [
                { title: 'Time (UTC)', kind: 'time' },
                { title: 'Request', kind: 'long' },
                { title: 'Status' },
                { title: 'Took', kind: 'number' },
                { title: 'User' },
                { title: 'From' },
            ],
            rows,
        ),
    );
}

function troubleTable({ troubles }: Status): Html {
    if (troubles.length === 0) {
        return section('Recent warnings and errors', nothing('None.'));
    }
    const rows = troubles.toReversed().map((record): Part[] => {
        const level = Number(record.level);
        const cause = text(memberOf(record.err, 'message')) || text(record.reason);
        return [
            timeOf(record),
            markup`<span class="${level >= 50 ? 'bad' : 'doubtful'}">${LEVELS[level] ?? String(level)}</span>`,
            cause === '' ? text(record.msg) : `${text(record.msg)}: ${cause}`,
        ];
    });
    return section(
        'Recent warnings and errors',
        table(
            [{ title: 'Time (UTC)', kind: 'time' }, { title: 'Level' }, { title: 'What', kind: 'long' }],
            rows,
        ),
    );
}

export function statusHtml(status: Status): string {
    const page = markup`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${status.serverName} on ${status.hostname}</title>
<style>${new Html(STATUS_STYLE)}</style>
</head>
<body>
${header(status)}${banner(status)}<main>
${numbers(status)}<div class="pair">
${dependencies(status)}${counts('Images', 'State', status.images, 'There are none yet.')}${storages(status)}${status.jobs && counts('Jobs', 'What became of them', status.jobs, 'There were none.')}${processTable(status)}</div>
${troubleTable(status)}${requestTable(status)}</main>
<footer>As of ${status.at.toISOString().replace('T', ' ').replace(/\..*/, '')} UTC; load the page again for what is new.</footer>
</body>
</html>
`;
    return page.text;
}
