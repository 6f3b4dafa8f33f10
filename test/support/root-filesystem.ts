/** A real root filesystem, made of Debian's packages by mmdebstrap. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Large, and installed without services, users or /proc being asked for. Gives about 200 MB. */
const PACKAGES = 'golang-go';

/** This machine cannot make one now; the message says why. */
export class NoRootFilesystem extends Error {}

/** Where this machine takes Debian's packages from: lines as in sources.list, and the suite they begin with. */
async function debianSources(): Promise<{ suite: string; lines: string[] }> {
    const { stdout } = await run('apt-get', [
        'indextargets',
        '--format',
        'deb $(REPO_URI) $(RELEASE) $(COMPONENT)',
        'Created-By: Packages',
        'Origin: Debian',
    ]);
    const lines = [...new Set(stdout.split('\n').filter((line) => line !== ''))];
    const suite = lines.map((line) => line.split(' ')[2] ?? '').find((name) => !name.includes('-'));
    if (suite === undefined) {
        throw new NoRootFilesystem('apt has no package lists of Debian; run apt-get update');
    }
    return { suite, lines };
}

/**
 * Writes a minimal Debian system with a Go compiler as a tar file, compressed by gzip. Takes one to two minutes.
 *
 * @throws NoRootFilesystem
 */
export async function makeRootFilesystem(file: string): Promise<void> {
    try {
        await run('mmdebstrap', ['--version']);
    } catch (err) {
        throw new NoRootFilesystem('mmdebstrap is not installed; run apt-get install mmdebstrap', {
            cause: err,
        });
    }
    const { suite, lines } = await debianSources();
    const options = [
        '--quiet',
        '--variant=minbase',
        '--format=tar',
        `--include=${PACKAGES}`,
        `--keyring=${KEYRING}`,
        // The tree is thrown away as soon as it is in the tar file; syncing every file of it takes its time.
        '--dpkgopt=force-unsafe-io',
    ];
    const script = 'set -o pipefail; file=$1; shift; mmdebstrap "$@" </dev/null | gzip -1 >"$file"';
    try {
        await run('bash', ['-c', script, 'bash', file, ...options, suite, '-', ...lines]);
    } catch (err) {
        const last = (err as { stderr?: string }).stderr?.trim().split('\n').at(-1);
        throw new NoRootFilesystem(
            `mmdebstrap failed (are the package sources reachable?): ${String(last)}`,
            {
                cause: err,
            },
        );
    }
}
