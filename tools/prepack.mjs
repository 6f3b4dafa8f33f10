/** npm pack: builds what goes into the archive. */
import { prepare } from './prepare.mjs';

prepare();
