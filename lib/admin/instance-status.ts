/** `imgapi-standalone-status` (ops.md §4). */
import http from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { createStorages } from '../storage/index';
import { UsageError, type Command, type CommandContext } from './command';
import { explain } from './log';
import { RunFolder } from './run-folder';
import { serverUrl } from './server';

/** The exit code is the number of faults, as far as an exit code can tell. */
const MOST_FAULTS = 255;
/** Within this an answer has to be there, in ms. */
const PATIENCE = 10_000;
/** Backups are to be made hourly; one may take a while. In ms. */
const OLDEST_BACKUP = 3_600_000;
const DEFAULT_HTTPS = 'https://localhost';

/** Gives what is wrong; undefined if nothing is. It may throw that, too. */
interface Check {
    readonly name: string;
    run(): Promise<string | undefined>;
}

interface Answer {
    readonly status: number;
    readonly body: string;
}

/** The certificate may be for any name: the server is asked as localhost. */
async function get(url: string): Promise<Answer> {
    const { request } = url.startsWith('https:') ? https : http;
    const signal = AbortSignal.timeout(PATIENCE);
    const message = await new Promise<http.IncomingMessage>((resolve, reject) => {
        request(url, { agent: false, rejectUnauthorized: false, signal })
            .once('error', (error) =>
                reject(signal.aborted ? new Error(`no answer within ${PATIENCE / 1000} s`) : error),
            )
            .once('response', resolve)
            .end();
    });
    return { status: message.statusCode ?? 0, body: await text(message) };
}

function pingOf(base: string): Check {
    const url = `${base}/ping`;
    return {
        name: url,
        run: async () => {
            const { status } = await get(url);
            return status === 200 ? undefined : `answers ${status}`;
        },
    };
}

function listOf(base: string, needsSignature: boolean): Check {
    const url = `${base}/images?limit=1`;
    return {
        name: url,
        run: async () => {
            const { status, body } = await get(url);
            if (needsSignature && status === 401) {
                return undefined;
            }
            return status === 200 && isList(body) ? undefined : `answers ${status} without a list of images`;
        },
    };
}

function isList(body: string): boolean {
    try {
        return Array.isArray(JSON.parse(body));
    } catch {
        return false;
    }
}

function backupChecks({ config }: CommandContext): Check[] {
    const folder = new RunFolder(config.dataDir);
    return [
        {
            name: folder.restoredMarker,
            run: async () =>
                folder.isRestored ? undefined : 'is not there: run imgapi-standalone-restore once',
        },
        {
            name: 'backup',
            run: async () => {
                const last = await folder.backupStatus();
                if (!last) {
                    return 'was never made';
                }
                if (last.code !== '0') {
                    return `ended with ${last.code}`;
                }
                return last.age <= OLDEST_BACKUP
                    ? undefined
                    : `was made ${Math.round(last.age / 60_000)} minutes ago`;
            },
        },
    ];
}

/** Every object store that is configured, whether or not images are kept there. */
async function storeChecks({ config, log }: CommandContext): Promise<Check[]> {
    const types = (['manta', 's3'] as const).filter((type) => config[type] !== undefined);
    const stores = (await createStorages(config, log, types)).all();
    return stores.map((store) => ({
        name: store.location,
        run: async () => {
            await store.open();
            try {
                await store.check();
                return undefined;
            } finally {
                await store.close();
            }
        },
    }));
}

function httpsBase({ flags }: CommandContext): string | undefined {
    const given = flags.get('https');
    if (given === undefined) {
        return flags.has('no-https') ? undefined : DEFAULT_HTTPS;
    }
    const url = URL.canParse(given) ? new URL(given) : undefined;
    if (url?.protocol !== 'https:' || url.pathname !== '/') {
        throw new UsageError(`--https is "${given}"; it has to be one such as ${DEFAULT_HTTPS}.`);
    }
    return url.origin;
}

async function checksOf(context: CommandContext): Promise<Check[]> {
    const { config, flags } = context;
    const secure = httpsBase(context);
    const needsSignature = config.auth.reads === 'signed';
    return [
        pingOf(serverUrl(config)),
        ...(secure === undefined ? [] : [pingOf(secure)]),
        listOf(secure ?? serverUrl(config), needsSignature),
        ...(await storeChecks(context)),
        ...(flags.has('no-backup') ? [] : backupChecks(context)),
    ];
}

export const instanceStatus: Command = {
    name: 'imgapi-standalone-status',
    summary: 'Say what is wrong with a standalone registry',
    details: [
        'Asks the server where the configuration has it listen, and by HTTPS; asks for a list of images; asks Manta and S3',
        'if they are configured; and looks whether a backup was made within the last hour. Each fault is a line.',
    ],
    flags: [
        { name: 'https', value: 'URL', help: `where HTTPS is served (default ${DEFAULT_HTTPS})` },
        { name: 'no-https', help: 'HTTPS is not served' },
        { name: 'no-backup', help: 'backups are not made by imgapi-standalone-backup' },
    ],
    exits: `the number of faults, at most ${MOST_FAULTS}: 0 if all is well. Wrong usage and a configuration that cannot be used
    are 1, too.`,
    async run(context) {
        const { output, log } = context;
        let faults = 0;
        for (const check of await checksOf(context)) {
            const { name } = check;
            const wrong = await check.run().catch((error: unknown) => explain(error));
            if (wrong === undefined) {
                log.info(`${name} is well`);
            } else {
                faults++;
                output.print(`${name}: ${wrong}`);
            }
        }
        return Math.min(faults, MOST_FAULTS);
    },
};
