/** A real account directory for tests: deps/openldap, with accounts, and all the ways in which it can fail. */
import assert from 'node:assert/strict';
import { execFile, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { skip } from './skip';

const run = promisify(execFile);
const DEPS = resolve(__dirname, '../../deps/openldap');

const BIND_DN = 'cn=root';
const PASSWORD = 'the-password-of-root';
/** `start` says so if slapd is missing. */
const NOT_INSTALLED = 127;

/** The accounts of tests in a datacenter (ufds.md §8): login to uuid. */
export const ACCOUNTS = {
    vader: '86055c40-2547-11e2-8a6b-4bb37edc84ba',
    luke: '91ba0e64-2547-11e2-a972-df579e5fddb3',
    emperor: 'a0b6b534-2547-11e2-b758-63a2afd747d1',
    sdc: 'ba28f844-8cb4-f141-882d-46d6251e6a9f',
} as const;

export interface SshKey {
    name: string;
    /** One line. */
    openssh: string;
    /** MD5 in pairs. */
    fingerprint: string;
}

export class OpenLdap {
    private constructor(
        private readonly folder: string,
        readonly url: string,
        /** With TLS; the certificate is signed by its own key. */
        readonly secureUrl: string,
    ) {}

    /** Starts one with {@link ACCOUNTS} in it; skips the test or suite of `context` where it cannot be started. */
    static async start(context: Mocha.Context): Promise<OpenLdap> {
        if (spawnSync('ldapadd', ['-VV']).error) {
            skip(context, 'ldapadd is not installed; on Debian: apt-get install ldap-utils');
        }
        const folder = await mkdtemp(join(tmpdir(), 'imgapi-openldap-'));
        const { status, stdout, stderr } = start(folder);
        if (status !== 0) {
            await rm(folder, { recursive: true });
            if (status === NOT_INSTALLED) {
                skip(context, stderr.trim());
            }
            throw new Error(`deps/openldap/start ended with ${String(status)}: ${stderr}`);
        }
        const [url = '', secureUrl = ''] = stdout.trim().split('\n');
        const directory = new OpenLdap(folder, url, secureUrl);
        const accounts = Object.entries(ACCOUNTS).map(([login, uuid]) => account(uuid, login));
        await directory.#ldap('ldapadd', accounts.join('\n'));
        return directory;
    }

    /** The block `ufds` of a server that asks this directory. */
    get config(): { url: string; bindDN: string; bindPassword: string } {
        return { url: this.url, bindDN: BIND_DN, bindPassword: PASSWORD };
    }

    /** Path of the certificate that verifies {@link secureUrl}. */
    get certificate(): string {
        return join(this.folder, 'cert.pem');
    }

    /** @param parent uuid of the account that a sub-user belongs to */
    async addAccount(uuid: string, login: string, parent?: string): Promise<void> {
        await this.#ldap('ldapadd', account(uuid, login, parent));
    }

    async deleteAccount(uuid: string): Promise<void> {
        await this.#ldap('ldapmodify', `dn: uuid=${uuid}, ou=users, o=smartdc\nchangetype: delete\n`);
    }

    /** Adds an SSH key to an account, as another program does. */
    async addKey(uuid: string, { name, openssh, fingerprint }: SshKey): Promise<void> {
        const lines = [
            `dn: fingerprint=${fingerprint.replaceAll('+', '\\2b')}, uuid=${uuid}, ou=users, o=smartdc`,
            'objectClass: sdcKey',
            `name: ${name}`,
            `openssh: ${openssh}`,
            `fingerprint: ${fingerprint}`,
            '',
        ];
        await this.#ldap('ldapadd', lines.join('\n'));
    }

    async deleteKeys(uuid: string): Promise<void> {
        const names = (await this.#keyEntries(uuid)).flatMap((entry) => /^dn:.*$/m.exec(entry) ?? []);
        await this.#ldap('ldapmodify', names.map((name) => `${name}\nchangetype: delete\n\n`).join(''));
    }

    /** The SSH keys of an account, by name. */
    async keys(uuid: string): Promise<SshKey[]> {
        const keys = (await this.#keyEntries(uuid)).map((entry) => {
            const value = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(entry)?.[1] ?? '';
            return { name: value('name'), openssh: value('openssh'), fingerprint: value('fingerprint') };
        });
        return keys.sort((a, b) => (a.name < b.name ? -1 : 1));
    }

    /** In LDIF. */
    async #keyEntries(uuid: string): Promise<string[]> {
        const base = `uuid=${uuid}, ou=users, o=smartdc`;
        const options = ['-LLL', '-o', 'ldif-wrap=no', '-b', base, '-s', 'one', '(objectClass=sdcKey)'];
        const { stdout } = await this.#ldap('ldapsearch', '', options);
        return stdout.split('\n\n').filter((entry) => entry.includes('dn: '));
    }

    async #ldap(command: string, ldif: string, options: string[] = []): Promise<{ stdout: string }> {
        const { url, bindDN, bindPassword } = this.config;
        const done = run(command, ['-x', '-H', url, '-D', bindDN, '-w', bindPassword, ...options]);
        // One that reads nothing may have ended already; whether it has failed is told by its exit code.
        done.child.stdin?.on('error', () => undefined).end(ldif);
        return done;
    }

    /** No longer answers, but keeps its connections and takes new ones. */
    async pause(): Promise<void> {
        const pid = this.#pid();
        process.kill(pid, 'SIGSTOP');
        // The signal is taken by each thread in its time; until the last has stopped, questions may be answered.
        const isRunning = (stat: string): boolean => stat[stat.lastIndexOf(')') + 2] !== 'T';
        for (;;) {
            const threads = await readdir(`/proc/${pid}/task`);
            const stats = await Promise.all(
                threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'latin1')),
            );
            if (!stats.some(isRunning)) {
                return;
            }
        }
    }

    resume(): void {
        process.kill(this.#pid(), 'SIGCONT');
    }

    /** Ends at once. */
    async kill(): Promise<void> {
        process.kill(this.#pid(), 'SIGKILL');
        await run(join(DEPS, 'stop'), [this.folder]);
    }

    /** After {@link kill}: at the same addresses, with the same accounts. */
    restart(): void {
        const { status, stderr } = start(this.folder);
        assert.equal(status, 0, stderr);
    }

    /** Ends and removes it. */
    async stop(): Promise<void> {
        if (existsSync(this.#pidFile)) {
            await this.kill();
        }
        await rm(this.folder, { recursive: true });
    }

    get #pidFile(): string {
        return join(this.folder, 'slapd.pid');
    }

    #pid(): number {
        return Number(readFileSync(this.#pidFile, 'utf8'));
    }
}

function start(folder: string): SpawnSyncReturns<string> {
    return spawnSync(join(DEPS, 'start'), [folder, PASSWORD], { encoding: 'utf8' });
}

/** The entry of an account in LDIF. */
function account(uuid: string, login: string, parent?: string): string {
    const names = [uuid, ...(parent === undefined ? [] : [parent])].map((one) => `uuid=${one}`);
    return [
        `dn: ${names.join(', ')}, ou=users, o=smartdc`,
        'objectClass: sdcPerson',
        ...(parent === undefined ? [] : ['objectClass: sdcAccountUser']),
        `uuid: ${uuid}`,
        `login: ${login}`,
        `email: ${uuid}@example.com`,
        'userPassword: secret123',
        '',
    ].join('\n');
}
