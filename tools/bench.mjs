// npm run bench: installs and builds what is missing, then measures. docs/benchmarks.md says what and how.
import { PrepareError, prepare } from './prepare.mjs';

try {
    prepare({ dev: true });
    const { main } = await import('../bench/main.js');
    await main(process.argv.slice(2));
} catch (error) {
    if (!(error instanceof PrepareError)) {
        throw error;
    }
    console.error(error.message);
    process.exitCode = 1;
}
