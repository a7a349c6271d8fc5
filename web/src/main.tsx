import { render } from 'preact';
import { App } from './app';
import { live } from './live';
import './theme/tokens.css';
import './theme/page.css';

live.start();
render(<App />, document.getElementById('app')!);
