/** A root filesystem of its own for scripts that would take a machine apart: files of a guest, and programs of this machine. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { skip } from './skip';

/** Where the programs are that are not those of this machine. */
const FAKES = 'opt/fakes';

/** Every call of a fake program is written here, one a line, and after each a line "." */
const CALLS = join(FAKES, 'calls');

const NULL = 'dev/null';

/** A guest is never powered off by the programs of this machine, whatever a script tries. */
const POWER = ['shutdown', 'poweroff', 'halt', 'reboot'];

/**
 * In namespaces of their own: mounts end with the script, and reboot(2) would end only what runs in there. The programs
 * of this machine can be read, and what is in /usr cannot be changed.
 */
const ENTER = `
set -e
root=$1; shift
mount --bind -o ro /usr "$root/usr"
mount --bind /${NULL} "$root/${NULL}"
exec chroot "$root" /usr/bin/env -i PATH=/${FAKES}:/usr/sbin:/usr/bin HOME=/root "$@"
`;

export interface ScriptRun {
    readonly code: number | null;
    readonly output: string;
    /** What fake programs were called with, in order. */
    readonly calls: readonly string[];
}

export class GuestRoot {
    private constructor(readonly path: string) {}

    /** A guest with these files, by their paths; skips the test or suite of `context` where there can be none. */
    static async make(context: Mocha.Context, files: Readonly<Record<string, string>>): Promise<GuestRoot> {
        if (
            process.getuid?.() !== 0 ||
            spawnSync('unshare', ['--mount', '--pid', '--fork', 'true']).status !== 0
        ) {
            skip(context, 'only root can have a root filesystem of its own, and namespaces for it');
        }
        const guest = new GuestRoot(await mkdtemp(join(tmpdir(), 'imgapi-guest-')));
        for (const folder of ['usr', 'dev', 'proc', 'tmp', 'var/run', 'root', 'home', 'lib', FAKES]) {
            await mkdir(join(guest.path, folder), { recursive: true });
        }
        await writeFile(join(guest.path, NULL), '');
        for (const name of ['bin', 'sbin', 'lib64']) {
            await symlink(join('usr', name), join(guest.path, name));
        }
        // A folder and not a link like those, as guests have files of their own there.
        for (const name of readdirSync('/usr/lib').filter((entry) => entry.endsWith('-linux-gnu'))) {
            await symlink(join('../usr/lib', name), join(guest.path, 'lib', name));
        }
        if (existsSync('/etc/alternatives/awk')) {
            await mkdir(join(guest.path, 'etc/alternatives'), { recursive: true });
            await symlink(await readlink('/etc/alternatives/awk'), join(guest.path, 'etc/alternatives/awk'));
        }
        for (const [path, text] of Object.entries(files)) {
            await guest.write(path, text);
        }
        for (const name of POWER) {
            await guest.fake(name, '');
        }
        return guest;
    }

    async write(path: string, text: string): Promise<void> {
        const file = join(this.path, path);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, text);
    }

    /** A program of the guest: tells how it was called, then does what these lines of shell say. */
    async fake(name: string, script: string): Promise<void> {
        const file = join(this.path, FAKES, name);
        const tell = `printf '%s\\n.\\n' "${name}\${*:+ }$*" >>/${CALLS}`;
        await writeFile(file, `#!/usr/bin/dash\n${tell}\n${script}\n`);
        await chmod(file, 0o755);
    }

    /** Runs a script of this machine in the guest, in this shell, as the operator script of the guest. */
    async run(shell: readonly string[], script: string): Promise<ScriptRun> {
        await cp(script, join(this.path, 'var/svc/mdata-operator-script'));
        await rm(join(this.path, CALLS), { force: true });
        const inside = [...shell, '/var/svc/mdata-operator-script'];
        const { status, stdout, stderr, error } = spawnSync(
            'unshare',
            ['--mount', '--pid', '--fork', 'sh', '-c', ENTER, 'sh', this.path, ...inside],
            { encoding: 'utf8' },
        );
        if (error) {
            throw error;
        }
        const calls = existsSync(join(this.path, CALLS)) ? this.read(CALLS).split('\n.\n').slice(0, -1) : [];
        return { code: status, output: stdout + stderr, calls };
    }

    read(path: string): string {
        return readFileSync(join(this.path, path), 'utf8');
    }

    has(path: string): boolean {
        return existsSync(join(this.path, path));
    }

    /** All files of the guest and what is in them, without links and what is there for the test. */
    files(): Record<string, string> {
        const found: Record<string, string> = {};
        for (const entry of readdirSync(this.path, { recursive: true, withFileTypes: true })) {
            const file = join(entry.parentPath, entry.name);
            const path = file.slice(this.path.length + 1);
            if (entry.isFile() && !path.startsWith(FAKES) && path !== NULL) {
                found[path] = this.read(path);
            }
        }
        return found;
    }

    async remove(): Promise<void> {
        await rm(this.path, { recursive: true, force: true });
    }
}
