use anyhow::Result;
use selvage_boot::{Context, Keys, NoCommand, Process};
use selvage_rpc::Channel;

use crate::args::Args;
use crate::{App, CONNECTIONS, serve};

/// The pages in a process of their own.
#[derive(Debug)]
pub struct Web;

impl Process for Web {
    const NAME: &'static str = "selvage-web";
    const ABOUT: &'static str = "The pages of the Selvage shop.";
    const PORT: Option<u16> = Some(8080);
    const CONNECTIONS: usize = CONNECTIONS;
    const METRICS_PORT: Option<u16> = Some(9468);
    const THREADS: Option<u8> = None;
    type Args = Args;
    type Command = NoCommand;

    async fn start(args: Args, mut context: Context) -> Result<Self> {
        let listener = context.listener()?;
        let listener = if args.trusted_proxy { listener.behind_a_proxy() } else { listener };
        let Context { clock, life, .. } = context;
        let mut keys = Keys::new(clock.clone());
        let issuer = keys.issuer(&args.issuer_key)?;
        keys.run(&life);
        let peers = args.peers();
        let called = [&peers.catalogue, &peers.cart, &peers.checkout, &peers.delivery].map(Clone::clone);
        let app = App::new(args.settings(), peers, issuer, clock, life.clone());
        let serving = life.clone();
        life.spawn("pages", async move { serve(listener, app, &serving).await });
        // It could be asked for pages at once, and would have to keep people waiting.
        life.awaits("the addresses of the services", Channel::are_known(called.each_ref())).await;
        Ok(Self)
    }

    async fn command(command: NoCommand) -> Result<()> {
        match command {}
    }
}
