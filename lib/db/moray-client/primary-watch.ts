/** Knows the primary: finds it, notices when it is gone, and finds the next. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientConfig } from 'pg';
import type { PgHost } from '../../config/pg-address';
import type { PgConfig } from '../../config/types';
import type { ConnectionUsage } from '../driver';
import { MorayError } from './errors';
import { Primary, type Identity } from './primary';
import { survey, type Finding, type Survey } from './survey';

/** What the connections tell the operator; a bunyan logger is one. */
export interface ConnectionLog {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
}

export interface WatchOptions {
    readonly hosts: readonly PgHost[];
    readonly clientOf: (host: PgHost) => ClientConfig;
    readonly limits: PgConfig['pool'];
    readonly log: ConnectionLog;
}

/** How long a request waits for the first round of a search, in ms; later ones are answered at once. */
const PATIENCE = 1000;
/** Up to how many times as long as the first the pauses between two rounds get. */
const MOST_PATIENT = 10;

export class PrimaryWatch {
    readonly #options: WatchOptions;
    readonly #closing = new AbortController();
    #primary: Primary | undefined;
    /** It may not be the primary any more: it is not used until it has been asked. */
    #isDoubted = false;
    #search: Promise<void> | undefined;
    /** Resolves when the first round of a search has ended, or has taken too long. */
    #firstRound: Promise<void> | undefined;
    /** The primary that was known last: no server that it has taken the place of is used again. */
    #last: Identity = {};
    /** What the servers that are no primary said, as the log was told. */
    #complaint = '';

    constructor(options: WatchOptions) {
        this.#options = options;
        this.#look();
    }

    /** The primary; while it is searched for, only the first round is waited for. @throws MorayError NoDatabasePeersError */
    async current(): Promise<Primary> {
        if (!this.#primary || this.#isDoubted) {
            await this.#firstRound;
        }
        if (this.#closing.signal.aborted) {
            throw new MorayError('NoDatabasePeersError', 'the connections to PostgreSQL have been closed');
        }
        if (!this.#primary || this.#isDoubted) {
            const why = this.#complaint === '' ? '' : `: ${this.#complaint}`;
            throw new MorayError('NoDatabasePeersError', `no server takes writes${why}`);
        }
        return this.#primary;
    }

    /** Of the connections to the primary that was found last. */
    get usage(): ConnectionUsage | undefined {
        return this.#primary?.usage;
    }

    /** A connection to it was lost: all servers are asked before it is used again. */
    doubt(primary: Primary, error: unknown): void {
        if (this.#primary === primary && !this.#isDoubted && !this.#closing.signal.aborted) {
            this.#isDoubted = true;
            const said = error instanceof Error ? error.message : String(error);
            const fields = { host: primary.host.name, reason: said };
            this.#options.log.warn(fields, 'lost a connection to PostgreSQL; asking who is the primary');
            this.#look();
        }
    }

    /** It is silent, which may be for a good reason: it is used until it turns out to be gone. */
    #suspect(primary: Primary): void {
        if (this.#primary === primary) {
            this.#look();
        }
    }

    /** Ends the search, at once, and closes connections, none of which is in use. */
    async close(): Promise<void> {
        this.#closing.abort();
        await this.#search;
        await this.#primary?.end();
    }

    #look(): void {
        if (this.#search || this.#closing.signal.aborted) {
            // A round under way may have been answered before what made us doubt; the next use will tell.
            return;
        }
        const { connectTimeout } = this.#options.limits;
        const firstRound = this.#round();
        const enough = new AbortController();
        this.#firstRound = Promise.race([
            firstRound,
            sleep(Math.min(PATIENCE, connectTimeout), undefined, { signal: enough.signal }).catch(
                () => undefined,
            ),
        ]).finally(() => enough.abort());
        this.#search = this.#rounds(firstRound).finally(() => {
            this.#search = undefined;
            this.#firstRound = undefined;
        });
    }

    async #rounds(firstRound: Promise<void>): Promise<void> {
        const { signal } = this.#closing;
        const { recheckInterval } = this.#options.limits;
        await firstRound;
        this.#firstRound = undefined;
        for (let pause = recheckInterval; !this.#primary && !signal.aborted;) {
            // Not all processes at the same moment.
            await sleep(pause * (0.75 + Math.random() / 4), undefined, { signal }).catch(() => undefined);
            await this.#round();
            pause = Math.min(2 * pause, MOST_PATIENT * recheckInterval);
        }
    }

    async #round(): Promise<void> {
        const { signal } = this.#closing;
        const { hosts, clientOf, limits } = this.#options;
        const found = await survey({ hosts, clientOf, timeout: limits.connectTimeout, signal });
        if (signal.aborted) {
            return;
        }
        const former = this.#primary;
        const next = this.#choose(found);
        if (former && !next && found.busy.includes(former.host.name)) {
            // There are too many connections, of which we have some.
            this.#isDoubted = false;
            return;
        }
        if (former && next && isSame(former, next)) {
            this.#isDoubted = false;
            return;
        }
        this.#isDoubted = false;
        this.#primary = next && this.#connect(next);
        former?.drop(new Error(`${former.host.name} is not the primary any more`));
        this.#report(found, next);
    }

    /** The newest of those that take writes, if it is not older than the last one. */
    #choose({ primaries }: Survey): Finding | undefined {
        const { system, timeline = 0 } = this.#last;
        const [next] = primaries
            .filter((one) => one.system !== system || (one.timeline ?? timeline) >= timeline)
            .sort((a, b) => (b.timeline ?? 0) - (a.timeline ?? 0));
        return next;
    }

    #connect(finding: Finding): Primary {
        const { clientOf, limits } = this.#options;
        const { host, ...identity } = finding;
        this.#last = identity;
        const primary: Primary = new Primary(host, identity, {
            client: clientOf(host),
            limits,
            onLoss: (error) => this.doubt(primary, error),
            onSilence: () => this.#suspect(primary),
        });
        return primary;
    }

    /** Tells the log what has changed. */
    #report({ primaries, others }: Survey, next: Finding | undefined): void {
        const { log } = this.#options;
        const outdated = primaries.filter((one) => one !== next).map(({ host }) => host.name);
        if (next) {
            this.#complaint = '';
            const fields = { host: next.host.name, timeline: next.timeline, others };
            log.info(fields, 'connected to PostgreSQL');
            if (outdated.length > 0) {
                log.warn(
                    { hosts: outdated },
                    'more than one PostgreSQL server takes writes; those whose place was taken are not used',
                );
            }
            return;
        }
        const reasons = { ...others };
        outdated.forEach((host) => (reasons[host] = 'is a primary whose place another server has taken'));
        const complaint = Object.entries(reasons)
            .map(([host, reason]) => `${host}: ${reason}`)
            .join('; ');
        if (complaint !== this.#complaint) {
            this.#complaint = complaint;
            log.warn({ hosts: reasons }, 'no PostgreSQL server takes writes; they are asked again and again');
        }
    }
}

function isSame(primary: Primary, { host, system, timeline }: Finding): boolean {
    const { identity } = primary;
    return primary.host === host && identity.system === system && identity.timeline === timeline;
}
